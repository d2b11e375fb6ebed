"""The pictures of a result: image, ground truth, masks of both stages and prompts, found and made small for a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from ...data_preparation.errors import DatasetError
from ...data_preparation.splits import Splits
from ...datasets.mask_file import read_mask
from ...structures.stages import IGNORE_LABEL
from ...utils.stage_files import FRAME
from ...visualization.report import mask_path, picture_size, picture_uri

BINARY = {0: 0, 255: 1}
SUBSETS = ('test', 'train')


@dataclass(frozen=True)
class DataFolder:
    """A converted dataset.

    Args:
        path (Path): With ``splits.json``, ``train/`` and ``test/``.
        splits (Splits): Its split.
        label_map (Mapping[int, int]): Grey value of its masks to label.
    """

    path: Path
    splits: Splits
    label_map: Mapping[int, int]


def find_data(cfg: Config | None, data_dir: str | Path | None) -> tuple[dict[str, DataFolder], list[str]]:
    """Find the datasets that a config tests on.

    Args:
        cfg (Config, optional): Of a training or a test.
        data_dir (str | Path, optional): Where they lie now, if not where the config says: their parent, or one itself.

    Returns:
        tuple[dict[str, DataFolder], list[str]]: By the name of the dataset; and what could not be found, a sentence
        each.
    """
    found, absent = {}, []
    for part in _dataset_configs(cfg):
        path = Path(part['data_root'])
        if data_dir is not None:
            path = next((place for place in (Path(data_dir) / path.name, Path(data_dir)) if _is_data(place)), path)
        label_map = {int(grey): int(label) for grey, label in (part.get('label_map') or BINARY).items()}
        try:
            splits = Splits.load(path / 'splits.json')
        except DatasetError as error:
            absent.append(f'The images and the ground truth were not found: {error} If they lie elsewhere now, give '
                          'their folder with --data-dir.')  # fmt: skip
        else:
            found[splits.dataset] = DataFolder(path, splits, label_map)
    if not found and not absent:
        absent.append('The config names no converted dataset, so images and ground truth are not shown.')
    return found, absent


class ResultPictures:
    """The pictures of one folder of results.

    Args:
        folder (Path): With ``masks/`` and perhaps ``coarse/`` and ``prompts/``.
        data (Mapping[str, DataFolder]): By the name of the dataset.
        classes (list[str]): The foreground classes, in the order of their labels.
        two_stages (bool): Whether there is a refined stage, which ``masks/`` then holds.
    """

    def __init__(self, folder: Path, data: Mapping[str, DataFolder], classes: list[str], two_stages: bool):
        self.folder, self.data, self.classes = folder, data, classes
        self.folders = dict(coarse='coarse', refined='masks') if two_stages else dict(coarse='masks')

    def image(self, dataset: str, name: str) -> dict | None:
        """The image, ``{'uri', 'width', 'height'}`` of the picture, or None where it is not found."""
        path = self._in_data(dataset, name, 'images')
        try:
            with Image.open(path or '') as image:
                width, height = picture_size(*image.size)
                return dict(uri=picture_uri(image), width=width, height=height)
        except (Image.DecompressionBombError, OSError, SyntaxError):
            return None

    def masks(self, dataset: str, name: str) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The labels (H, W) by stage, with the ground truth as 'truth'; and the pixels that are not counted."""
        labels = {}
        for stage, folder in self.folders.items():
            path = _inside(self.folder / folder, dataset, f'{name}.png')
            label_map = BINARY if len(self.classes) == 1 else {label: label for label in range(len(self.classes) + 1)}
            labels[stage] = _read(path, label_map)
        truth_path = self._in_data(dataset, name, 'masks')
        truth = _read(truth_path, self.data[dataset].label_map) if truth_path is not None else None
        labels['truth'] = truth
        ignored = None if truth is None or not (truth == IGNORE_LABEL).any() else truth == IGNORE_LABEL
        return {stage: mask for stage, mask in labels.items() if mask is not None}, ignored

    def layers(self, dataset: str, name: str) -> tuple[dict[str, dict[str, str]], tuple[int, int] | None]:
        """The outlines of every class.

        Returns:
            tuple[dict[str, dict[str, str]], tuple[int, int] | None]: Of each class, by stage, 'truth' and, where there
            are such pixels, 'ignored', what `mask_path` gives; and the size (width, height) of the picture.
        """
        labels, ignored = self.masks(dataset, name)
        layers = {}
        for label, class_name in enumerate(self.classes, start=1):
            layers[class_name] = {stage: mask_path(mask == label) for stage, mask in labels.items()}
            if ignored is not None:
                layers[class_name]['ignored'] = mask_path(ignored)
        shapes = [mask.shape for mask in labels.values()]
        return layers, picture_size(shapes[0][1], shapes[0][0]) if shapes else None

    def prompts(self, dataset: str, name: str) -> list[dict] | None:
        """The slots of the prompts' file, with finite numbers only; None where there is none."""
        path = _inside(self.folder / 'prompts', dataset, f'{name}.json')
        try:
            entry = json.loads(path.read_text()) if path is not None else {}
            return [_slot(slot) for slot in entry['slots']] if entry.get('frame') == FRAME else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _in_data(self, dataset: str, name: str, kind: str) -> Path | None:
        folder = self.data.get(dataset)
        if folder is None:
            return None
        paths = [_inside(folder.path / subset / kind, f'{name}.png') for subset in SUBSETS]
        return next((path for path in paths if path is not None and path.is_file()), None)


def _dataset_configs(cfg: Config | None) -> Iterator[dict]:
    """The datasets in a config's test dataloader, those of a concatenation one by one."""
    loader = (cfg or {}).get('test_dataloader') or {}
    waiting = [loader.get('dataset') or {}]
    while waiting:
        part = waiting.pop(0)
        waiting += part.get('datasets') or []
        if part.get('data_root'):
            yield part


def _is_data(path: Path) -> bool:
    return (path / 'splits.json').is_file()


def _inside(folder: Path, *names: str) -> Path | None:
    """A file below a folder; names from a table must not lead out of it."""
    return folder.joinpath(*names) if all(Path(name).name == name != '..' for name in names) else None


def _read(path: Path | None, label_map: Mapping[int, int]) -> np.ndarray | None:
    try:
        return None if path is None or not path.is_file() else read_mask(path, dict(label_map))
    except ValueError:
        return None


def _slot(slot: dict) -> dict:
    made: dict = dict(valid=bool(slot['valid']))
    if 'box' in slot:
        made['box'] = [float(value) for value in slot['box']]
    if 'points' in slot:
        made['points'] = [[float(x), float(y)] for x, y in slot['points']]
        made['labels'] = [int(label) for label in slot['point_labels']]
    return made
