"""PredictionWriter: the files of a run of the inferencer."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...utils.whole_file import whole_file
from . import prediction_formats as formats
from .prediction import Prediction


class FileFormat(NamedTuple):
    """One file an image, ``{folder}/{name}{ending}``."""

    folder: str
    ending: str
    save: Callable[[Path, Prediction, Sequence], None]


MASKS = FileFormat('masks', '.png', formats.save_mask)
FILES = dict(
    overlay=FileFormat('overlay', '.png', formats.save_overlay),
    npy=FileFormat('npy', '.npy', formats.save_probabilities),
    coarse=FileFormat('coarse', '.png', formats.save_coarse),
    prompts=FileFormat('prompts', '.json', formats.save_prompts),
    uncertainty=FileFormat('uncertainty', '.png', formats.save_uncertainty),
    panels=FileFormat('panels', '.png', formats.save_panels),
)
FORMATS = (*FILES, 'coco')
TABLE, COCO, SETTINGS = 'predictions.csv', 'annotations.json', 'inference.json'
OWN = (MASKS.folder, *(file.folder for file in FILES.values()), TABLE, COCO, SETTINGS)
SECONDS_BETWEEN_TABLES = 300


class PredictionWriter:
    """Writes masks, and what else is asked for, as predictions come; the tables when it is closed.

    .. code-block:: none

        out_dir/
        ├── masks/{name}.png           always: 0 and 255 for one class, labels for more
        ├── predictions.csv            always: a row for each class of each image, see `table_rows`
        ├── inference.json             always: the models and settings that made them
        ├── overlay/{name}.png         'overlay': the image with the contours
        ├── panels/{name}.png          'panels': image, coarse mask, prompts, refined mask
        ├── npy/{name}.npy             'npy': probabilities (K, H, W) float32
        ├── coarse/{name}.png          'coarse': the coarse mask
        ├── prompts/{name}.json        'prompts': points and boxes, see `prompts_to_dict`
        ├── uncertainty/{name}.png     'uncertainty': grey value / 255 is the entropy in bits
        └── annotations.json           'coco': COCO, exact run lengths

    Every file is there as a whole or not at all. Used as a context manager; also after an interruption the tables are
    written, of the images that were done, and in long runs every five minutes.

    Args:
        out_dir (str | Path): Where to; made if it is not there.
        classes (Sequence[str]): The background first.
        palette (Sequence[Sequence[int]]): RGB of each class.
        save (Sequence[str]): Some of `FORMATS`. Defaults to masks and table alone.
        settings (dict, optional): What made the predictions, `UltraRefinerInferencer.settings`.
        overwrite (bool): Whether results of an earlier run are removed first. Defaults to False.
        resume (bool): Whether results of an earlier run with the same settings are gone on from. Defaults to False.
        keep (Iterable[Path]): Files and folders that `overwrite` must not remove: what is read.

    Attributes:
        count (int): Images whose results are there.
        done (frozenset[str]): Names of those that an earlier run left, with `resume`; they need not be predicted.

    Raises:
        FileExistsError: If there are results, and neither `overwrite` nor `resume`; or those that should be overwritten
            are not the inferencer's.
        ValueError: If `save` names another format, the earlier run had other settings, or overwriting would remove what
            is to be kept.
    """

    def __init__(
        self,
        out_dir: str | Path,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        save: Sequence[str] = (),
        settings: dict | None = None,
        overwrite: bool = False,
        resume: bool = False,
        keep: Iterable[Path] = (),
    ):
        unknown = sorted(set(save) - set(FORMATS))
        if unknown:
            raise ValueError(f'save has {unknown}, expected some of {", ".join(FORMATS)}')
        if overwrite and resume:
            raise ValueError('overwrite removes what resume goes on from; choose one')
        self.out_dir = Path(out_dir)
        self.classes, self.palette = classes, palette
        self.files = [MASKS, *(FILES[name] for name in FILES if name in save)]
        self.coco = 'coco' in save
        # As a file gives them back.
        self.settings = json.loads(json.dumps(dict(settings or {}, save=sorted(set(save)))))
        self._make_room(overwrite, resume, keep)
        self.count = self._annotations = 0
        # Lines, on disk, so that any number of images takes no memory; gone by themselves if the process is killed.
        self._spools = [tempfile.TemporaryFile('w+', dir=self.out_dir, newline='', encoding='utf-8') for _ in range(3)]
        self._rows, self._coco_images, self._coco_annotations = self._spools
        self._table = csv.DictWriter(self._rows, formats.COLUMNS, lineterminator='\n')
        self._table.writeheader()
        self.done = frozenset(self._take_over()) if resume else frozenset()
        with whole_file(self.out_dir / SETTINGS) as partial:
            partial.write_text(json.dumps(self.settings, indent=1))
        self._saved = time.monotonic()

    def write(self, prediction: Prediction) -> None:
        """Write the files of one image, and note its rows of the tables."""
        for file in self.files:
            path = self._path(file, prediction.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            file.save(path, prediction, self.palette)
        self._note(formats.table_rows(prediction, self.classes))
        if self.coco:
            height, width = prediction.mask.shape
            image = dict(file_name=prediction.file_name, height=height, width=width)
            self._note_coco(image, formats.coco_annotations(prediction))
        if time.monotonic() - self._saved > SECONDS_BETWEEN_TABLES:
            self._write_tables()

    def close(self) -> None:
        """Write the tables."""
        self._write_tables()
        for spool in self._spools:
            spool.close()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _note(self, rows: list[dict]) -> None:
        self.count += 1
        self._table.writerows(rows)

    def _note_coco(self, image: dict, annotations: list[dict]) -> None:
        self._coco_images.write(json.dumps({**image, 'id': self.count}) + '\n')
        for annotation in annotations:
            self._annotations += 1
            entry = {**annotation, 'id': self._annotations, 'image_id': self.count}
            self._coco_annotations.write(json.dumps(entry) + '\n')

    def _write_tables(self) -> None:
        for spool in self._spools:
            spool.seek(0)
        with whole_file(self.out_dir / TABLE) as partial, partial.open('w', newline='', encoding='utf-8') as file:
            shutil.copyfileobj(self._rows, file)
        if self.coco:
            categories = [dict(id=label, name=name) for label, name in enumerate(self.classes) if label]
            with whole_file(self.out_dir / COCO) as partial, partial.open('w') as file:
                file.write(f'{{"categories": {json.dumps(categories)}')
                for key, spool in (('images', self._coco_images), ('annotations', self._coco_annotations)):
                    file.write(f',\n"{key}": [')
                    for number, line in enumerate(spool):
                        file.write((',\n' if number else '\n') + line.rstrip('\n'))
                    file.write(']')
                file.write('}\n')
        self._saved = time.monotonic()

    def _make_room(self, overwrite: bool, resume: bool, keep: Iterable[Path]) -> None:
        found = [name for name in OWN if (self.out_dir / name).exists()]
        if found and not (overwrite or resume):
            raise FileExistsError(
                f'{self.out_dir} has results already ({", ".join(found)}); choose another folder, or replace them with '
                'overwrite=True (--overwrite)'
            )
        if found and SETTINGS not in found:
            raise FileExistsError(
                f'{self.out_dir} has {", ".join(found)}, but no {SETTINGS}: not from the inferencer, and not touched; '
                'choose another folder'
            )
        removed = [self.out_dir / name for name in found] if overwrite else []
        for path in keep if removed else ():
            if any(path.resolve().is_relative_to(folder.resolve()) for folder in removed):
                raise ValueError(
                    f'overwriting {self.out_dir} would remove {path}, which is read; choose another folder'
                )
        for path in removed:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.out_dir.mkdir(parents=True, exist_ok=True)

    def _take_over(self) -> Iterator[str]:
        """Note the rows of the images that an earlier run finished, and give their names."""
        if not (self.out_dir / SETTINGS).exists():
            return
        earlier = json.loads((self.out_dir / SETTINGS).read_text())
        other = [key for key in {**earlier, **self.settings} if earlier.get(key) != self.settings.get(key)]
        if other:
            raise ValueError(
                f'the results in {self.out_dir} were made with another {", ".join(other)} (see {SETTINGS}): choose '
                'another folder, or replace them with overwrite=True (--overwrite)'
            )
        if not (self.out_dir / TABLE).exists():
            return
        with (self.out_dir / TABLE).open(newline='', encoding='utf-8') as file:
            images = [list(rows) for _, rows in itertools.groupby(csv.DictReader(file), lambda row: row['name'])]
        coco = self._earlier_coco() if self.coco else {}
        for rows in images:
            name = rows[0]['name']
            files = [file for file in self.files if file.folder != 'prompts']  # phase 1 leaves none
            if all(self._path(file, name).exists() for file in files) and (name in coco or not self.coco):
                self._note(rows)
                if self.coco:
                    self._note_coco(*coco[name])
                yield name

    def _earlier_coco(self) -> dict[str, tuple[dict, list[dict]]]:
        """The image entry and the annotations of each name."""
        path = self.out_dir / COCO
        if not path.exists():
            return {}
        content = json.loads(path.read_text())
        entries: dict[int, tuple[dict, list[dict]]] = {image['id']: (image, []) for image in content['images']}
        for annotation in content['annotations']:
            entries[annotation['image_id']][1].append(annotation)
        return {Path(entry[0]['file_name']).with_suffix('').as_posix(): entry for entry in entries.values()}

    def _path(self, file: FileFormat, name: str) -> Path:
        return self.out_dir / file.folder / f'{name}{file.ending}'
