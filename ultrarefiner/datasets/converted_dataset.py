"""ConvertedDataset: images, masks and stored coarse predictions of one fold, checked before training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mmseg.datasets import BaseSegDataset
from torch.utils.data import get_worker_info

from ..data_preparation.merged_splits import merged_splits
from ..data_preparation.splits import Splits
from ..registry import DATASETS
from ..structures.stages import IGNORE_LABEL
from .class_palette import class_palette
from .faults import Faults
from .image_header import is_truncated, read_header
from .mask_file import REMEDY, read_mask
from .use_one_thread import use_one_thread

SUBSETS = ('train', 'val', 'test', 'all_train')
COARSE_SUFFIXES = ('.npy', '.png')
CONVERT = 'run the dataset converter again (tools/dataset_converters)'
GIVE_LABELS = (
    'label maps need coarse_label_map, such as {0: 0, 1: 1}; probabilities of one class are grey values from 0 to 255, '
    'or a .npy where none is above 0.005; those of several a .npy of the shape (K, H, W)'
)
PREDICT = 'write the out-of-fold predictions again with tools/predict_folds.py, for this split'


@DATASETS.register_module()
class ConvertedDataset(BaseSegDataset):
    """A dataset in the layout that the converters write, cut by its ``splits.json``.

    .. code-block:: none

        data_root/
        ├── splits.json
        ├── train/{images,masks}/{name}.png
        └── test/{images,masks}/{name}.png

    The files are checked when the dataset is built: they are there and whole, sizes agree, masks hold only the values
    of ``label_map``, every image has exactly one stored prediction, and the predictions belong to this split. Masks
    are decoded for that, images are not.

    Args:
        data_root (str): The folder above.
        subset (str): 'train' (without the fold's images), 'val' (the fold's images), 'test' (the held-out test set) or
            'all_train' (train and val together).
        fold (int, optional): Which fold is 'val', from 0. Required for 'train' and 'val', not used otherwise.
        label_map (dict[int, int], optional): Grey value in the mask files to label; 255 as a label is not counted.
            Values that are not listed are refused. Defaults to ``{0: 0, 255: 1}``.
        coarse_dir (str, optional): Folder of stored coarse predictions, ``{name}.npy`` or ``{name}.png``, read by
            `LoadCoarsePrediction`.
        coarse_label_map (dict[int, int], optional): Grey value to label of PNG predictions that are label maps, such as
            ``{0: 0, 1: 1, 2: 2}``. None: grey values over 255 are probabilities of the one foreground class.
        require_proof (bool): Whether ``coarse_dir`` must come with the ``proof.json`` that `tools/predict_folds.py`
            writes beside it. False accepts a folder made by another program; see to it then that none was made by a
            network that saw the image. Defaults to True.
        pixel_dir (str, optional): Folder in which `LoadImage` and `LoadMask` keep what they decoded, a byte a pixel
            and channel: for training that is faster than its workers can decode PNG.
        **kwargs: mmseg's, such as ``pipeline``, ``indices`` and ``metainfo`` (other ``classes`` come with a
            ``label_map`` that gives their labels; without a ``palette`` they get colours of their own).

    Raises:
        DatasetError: If there is no sound ``splits.json``, or files are missing, unreadable or do not belong together;
            one message about all of them.
        ValueError: If an argument does not fit.
    """

    METAINFO = dict(classes=('background', 'lesion'), palette=class_palette(2))

    def __init__(
        self,
        data_root: str,
        subset: str,
        fold: int | None = None,
        label_map: dict[int, int] | None = None,
        coarse_dir: str | None = None,
        coarse_label_map: dict[int, int] | None = None,
        require_proof: bool = True,
        pixel_dir: str | None = None,
        **kwargs,
    ):
        self.subset = subset
        self.fold = fold
        self.pixel_labels = {0: 0, 255: 1} if label_map is None else _integers(label_map)
        self.coarse_dir = None if coarse_dir is None else Path(coarse_dir)
        self.coarse_labels = None if coarse_label_map is None else _integers(coarse_label_map)
        self.require_proof = require_proof
        self.pixel_dir = pixel_dir
        self.splits = Splits.load(Path(data_root) / 'splits.json')
        self._check_arguments()
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(data_root=data_root, lazy_init=True, **kwargs)
        self._metainfo.update(
            dataset=self.splits.dataset, split_sha256=self.splits.digest, subset=subset, fold=self._held_out_fold()
        )
        merged = merged_splits(data_root)
        if merged:
            self._metainfo['merged_splits'] = merged
        self._check_classes()
        if not lazy_init:
            self.full_init()

    @classmethod
    def get_label_map(cls, new_classes=None) -> None:
        """Do not select classes by name, as mmseg would: ``label_map`` says which pixel is what."""

    def _update_palette(self) -> list[list[int]]:
        """Colour other classes that come without colours; mmseg would keep those of ``METAINFO`` and fail."""
        classes, palette = self._metainfo['classes'], self._metainfo.get('palette')
        if palette is None or (palette == self.METAINFO.get('palette') and len(palette) != len(classes)):
            return class_palette(len(classes))
        if len(palette) != len(classes):
            raise ValueError(
                f'{type(self).__name__}: metainfo has {len(palette)} colours in its palette for the {len(classes)} '
                f'classes {tuple(classes)}; give one for each, or no palette'
            )
        return palette

    def load_data_list(self) -> list[dict]:
        """List the images of the subset, sorted by name, after checking their files.

        Returns:
            list[dict]: Each with ``name``, ``dataset``, ``img_path``, ``seg_map_path``, ``label_map``, ``pixel_dir``,
            ``coarse_path`` and ``coarse_label_map`` where predictions are used, and mmseg's own keys.
        """
        folder = Path(self.data_root) / ('test' if self.subset == 'test' else 'train')
        faults = Faults(str(self))
        items = [self._item(folder, name, faults) for name in sorted(self._names())]
        if not items:
            faults.add('no images', self.subset, 'choose another subset or fold, or split the dataset again')
        if self.coarse_dir is not None:
            self._check_grey_values(items, faults)
            if self.require_proof:
                self._check_proof(items, faults)
        faults.raise_if_any()
        return items

    def prepare_data(self, idx: int) -> dict:
        """Run the pipeline on an image; in a worker, with one thread."""
        if get_worker_info() is not None:
            use_one_thread()
        return super().prepare_data(idx)

    def __str__(self) -> str:
        fold = f' of fold {self.fold}' if self.subset in ('train', 'val') else ''
        return f'{type(self).__name__} {self.subset!r}{fold} at {self.data_root}'

    def _check_arguments(self) -> None:
        if self.subset not in SUBSETS:
            raise ValueError(f'{type(self).__name__}.subset is {self.subset!r}, expected one of {SUBSETS}')
        if self.subset not in ('train', 'val'):
            return
        folds = self.splits.n_folds
        if isinstance(self.fold, str) and '{' in self.fold:
            raise ValueError(
                f'{type(self).__name__}.fold is the unfilled placeholder {self.fold!r}: load the config with '
                'ultrarefiner.apis.load_config, as tools/train.py does, and choose a fold'
            )
        if not isinstance(self.fold, int) or isinstance(self.fold, bool) or not 0 <= self.fold < folds:
            raise ValueError(
                f'{type(self).__name__}.fold is {self.fold!r}, expected a whole number from 0 to {folds - 1} for the '
                f'subset {self.subset!r}'
            )

    def _check_classes(self) -> None:
        classes = self._metainfo['classes']
        # 255 leaves a pixel of the ground truth out; a prediction has to say something everywhere.
        for name, mapping, ignored in (
            ('label_map', self.pixel_labels, {IGNORE_LABEL}),
            ('coarse_label_map', self.coarse_labels, set()),
        ):
            labels = None if mapping is None else set(mapping.values()) - ignored
            if labels not in (None, set(range(len(classes)))):
                raise ValueError(
                    f'{type(self).__name__}: the classes {tuple(classes)} need the labels 0 to {len(classes) - 1}, but '
                    f'{name} {mapping} gives {sorted(labels)}; make metainfo and {name} agree'
                )

    def _held_out_fold(self) -> int | None:
        return self.fold if self.subset in ('train', 'val') else None

    def _names(self) -> tuple[str, ...]:
        if self.subset == 'train':
            return self.splits.train_names(self.fold)
        if self.subset == 'val':
            return self.splits.fold_names(self.fold)
        return self.splits.test if self.subset == 'test' else self.splits.train

    def _item(self, folder: Path, name: str, faults: Faults) -> dict:
        image, mask = folder / 'images' / f'{name}.png', folder / 'masks' / f'{name}.png'
        self._check_files(name, image, mask, faults)
        item = dict(
            name=name,
            dataset=self.splits.dataset,
            img_path=str(image),
            seg_map_path=str(mask),
            label_map=self.pixel_labels,
            pixel_dir=self.pixel_dir,
            reduce_zero_label=False,
            seg_fields=[],
        )
        if self.coarse_dir is not None:
            item.update(coarse_path=self._coarse_path(name, faults), coarse_label_map=self.coarse_labels)
        return item

    def _check_files(self, name: str, image: Path, mask: Path, faults: Faults) -> None:
        headers = []
        for kind, path in (('image', image), ('mask', mask)):
            try:
                with path.open('rb') as file:
                    header, truncated = read_header(file), is_truncated(file)
            except FileNotFoundError:
                faults.add(f'no {kind} in {path.parent}', name, CONVERT)
                continue
            except OSError:
                faults.add(f'unreadable {kind} in {path.parent}', name, f'the file is damaged or no PNG: {CONVERT}')
                continue
            if truncated:
                faults.add(f'truncated {kind} in {path.parent}', name, CONVERT)
            elif not header.is_eight_bit:
                faults.add(f'{kind} with more than 8 bits', f'{name} (mode {header.mode})', 'convert it to 8-bit PNG')
            elif kind == 'mask':
                self._check_mask(path, faults)
            headers.append(header)
        if len(headers) == 2 and headers[0][:2] != headers[1][:2]:
            sizes = f'{name} (image {headers[0][0]}x{headers[0][1]}, mask {headers[1][0]}x{headers[1][1]})'
            faults.add('image and mask differ in height x width', sizes, CONVERT)

    def _check_mask(self, path: Path, faults: Faults) -> None:
        try:
            read_mask(path, self.pixel_labels, self.pixel_dir)
        except ValueError as error:
            faults.add('unusable mask', str(error), REMEDY)

    def _coarse_path(self, name: str, faults: Faults) -> str | None:
        candidates = [self.coarse_dir / f'{name}{suffix}' for suffix in COARSE_SUFFIXES]
        found = [path for path in candidates if path.is_file()]
        if not found:
            remedy = PREDICT if self.require_proof else f'put {name}.npy or {name}.png there, or change coarse_dir'
            faults.add(f'no coarse prediction in {self.coarse_dir}', name, remedy)
        if len(found) > 1:
            faults.add(
                f'more than one coarse prediction in {self.coarse_dir}',
                ' and '.join(path.name for path in found),
                'delete the ones that are not meant',
            )
        return str(found[0]) if found else None

    def _check_grey_values(self, items: list[dict], faults: Faults) -> None:
        """Check that PNG predictions are what they are taken for: labels read as probabilities would be black."""
        paths = [item['coarse_path'] for item in items if str(item['coarse_path']).endswith('.png')]
        if paths and self.coarse_labels is None and len(self._metainfo['classes']) > 2:
            several = f'PNG predictions in {self.coarse_dir} for {len(self._metainfo["classes"]) - 1} classes'
            faults.add(several, f'{Path(paths[0]).name}, ...', GIVE_LABELS)
            return
        for path in paths:
            try:
                values = read_mask(path, self.coarse_labels or {value: value for value in range(256)})
            except ValueError as error:
                faults.add('unusable coarse prediction', str(error), 'write it again, or mend coarse_label_map')
            else:
                if self.coarse_labels is None and values.max() == 1:
                    faults.add(f'no grey value above 1 in {self.coarse_dir}', Path(path).name, GIVE_LABELS)

    def _check_proof(self, items: list[dict], faults: Faults) -> None:
        path = self.coarse_dir.parent / 'proof.json'
        if not path.is_file():
            faults.add(
                'no proof of what the predictions were made from',
                str(path),
                'predict with tools/predict_folds.py; or set require_proof=False for predictions of another program, '
                'and see to it that none was made by a network that saw the image',
            )
            return
        try:
            proof = json.loads(path.read_text())
            made_for, entries = proof['split_sha256'], proof['entries']
        except (ValueError, KeyError) as error:
            faults.add('unreadable proof', f'{path} ({type(error).__name__}: {error})', PREDICT)
            return
        if made_for != self.splits.digest:
            short = f'{path} (predictions {made_for[:12]}, dataset {self.splits.digest[:12]})'
            faults.add('the predictions were made for another split', short, PREDICT)
            return
        holder = {name: fold for fold, held_out in enumerate(self.splits.folds) for name in held_out}
        for item in items:
            name, file = item['name'], item['coarse_path']
            entry = entries.get(name)
            if entry is None:
                faults.add(f'prediction not listed in {path}', name, PREDICT)
            elif file is not None and hashlib.sha256(Path(file).read_bytes()).hexdigest() != entry['sha256']:
                faults.add('prediction other than the one that was proven', name, PREDICT)
            elif name in holder and entry['fold'] != holder[name]:
                detail = f'{name} (by fold {entry["fold"]}, held out by fold {holder[name]})'
                faults.add('prediction by a network that saw the image', detail, PREDICT)


def _integers(mapping: dict) -> dict[int, int]:
    return {int(key): int(value) for key, value in mapping.items()}
