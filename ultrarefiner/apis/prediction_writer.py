"""PredictionWriter: the files of a run of the inferencer."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..utils.whole_file import whole_file
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
TABLE, COCO = 'predictions.csv', 'annotations.json'
OWN = (MASKS.folder, *(file.folder for file in FILES.values()), TABLE, COCO)


class PredictionWriter:
    """Writes masks, and what else is asked for, as predictions come; the tables when it is closed.

    .. code-block:: none

        out_dir/
        ├── masks/{name}.png           always: 0 and 255 for one class, labels for more
        ├── predictions.csv            always: a row for each class of each image, see `table_rows`
        ├── overlay/{name}.png         'overlay': the image with the contours
        ├── panels/{name}.png          'panels': image, coarse mask, prompts, refined mask
        ├── npy/{name}.npy             'npy': probabilities (K, H, W) float32
        ├── coarse/{name}.png          'coarse': the coarse mask
        ├── prompts/{name}.json        'prompts': points and boxes, see `prompts_to_dict`
        ├── uncertainty/{name}.png     'uncertainty': grey value / 255 is the entropy in bits
        └── annotations.json           'coco': COCO, exact run lengths

    Every file is there as a whole or not at all. Used as a context manager; also after an interruption the tables are
    written, of the images that were done.

    Args:
        out_dir (str | Path): Where to; made if it is not there.
        classes (Sequence[str]): The background first.
        palette (Sequence[Sequence[int]]): RGB of each class.
        save (Sequence[str]): Some of `FORMATS`. Defaults to masks and table alone.
        overwrite (bool): Whether results of an earlier run are removed first. Defaults to False.

    Raises:
        FileExistsError: If there are results, and `overwrite` is False.
        ValueError: If `save` names another format.
    """

    def __init__(
        self,
        out_dir: str | Path,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        save: Sequence[str] = (),
        overwrite: bool = False,
    ):
        unknown = sorted(set(save) - set(FORMATS))
        if unknown:
            raise ValueError(f'save has {unknown}, expected some of {", ".join(FORMATS)}')
        self.out_dir = Path(out_dir)
        self.classes, self.palette = classes, palette
        self.files = [MASKS, *(FILES[name] for name in FILES if name in save)]
        self.coco = 'coco' in save
        self._make_room(overwrite)
        self.count = 0
        self._annotations = 0
        # Lines, on disk, so that any number of images takes no memory; gone by themselves if the process is killed.
        self._spools = [tempfile.TemporaryFile('w+', dir=self.out_dir, newline='') for _ in range(3)]
        self._rows, self._coco_images, self._coco_annotations = self._spools
        self._table = csv.DictWriter(self._rows, formats.COLUMNS, lineterminator='\n')
        self._table.writeheader()

    def write(self, prediction: Prediction) -> None:
        """Write the files of one image, and note its rows of the tables."""
        for file in self.files:
            path = self.out_dir / file.folder / f'{prediction.name}{file.ending}'
            path.parent.mkdir(parents=True, exist_ok=True)
            file.save(path, prediction, self.palette)
        self.count += 1
        self._table.writerows(formats.table_rows(prediction, self.classes))
        if self.coco:
            height, width = prediction.mask.shape
            image = dict(id=self.count, file_name=prediction.file_name, height=height, width=width)
            self._coco_images.write(json.dumps(image) + '\n')
            for annotation in formats.coco_annotations(prediction, self.count):
                self._annotations += 1
                self._coco_annotations.write(json.dumps(dict(id=self._annotations, **annotation)) + '\n')

    def close(self) -> None:
        """Write the tables."""
        for spool in self._spools:
            spool.seek(0)
        with whole_file(self.out_dir / TABLE) as partial, partial.open('w', newline='') as file:
            shutil.copyfileobj(self._rows, file)
        if self.coco:
            self._write_coco()
        for spool in self._spools:
            spool.close()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _write_coco(self) -> None:
        categories = [dict(id=label, name=name) for label, name in enumerate(self.classes) if label]
        with whole_file(self.out_dir / COCO) as partial, partial.open('w') as file:
            file.write(f'{{"categories": {json.dumps(categories)}')
            for key, spool in (('images', self._coco_images), ('annotations', self._coco_annotations)):
                file.write(f',\n"{key}": [')
                for number, line in enumerate(spool):
                    file.write((',\n' if number else '\n') + line.rstrip('\n'))
                file.write(']')
            file.write('}\n')

    def _make_room(self, overwrite: bool) -> None:
        found = [name for name in OWN if (self.out_dir / name).exists()]
        if found and not overwrite:
            raise FileExistsError(
                f'{self.out_dir} has results already ({", ".join(found)}); choose another folder, or replace them with '
                'overwrite=True (--overwrite)'
            )
        for name in found:
            path = self.out_dir / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.out_dir.mkdir(parents=True, exist_ok=True)
