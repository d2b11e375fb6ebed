"""Coarse results that another program made, read for the images that are segmented."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...datasets.faults import Faults
from ...datasets.transforms import LoadCoarsePrediction
from ...models.segmentors import CoarseToFine, PrecomputedCoarse
from .image_sources import ImageSource

ENDINGS = ('.npy', '.png')


class GivenMasks:
    """A folder with ``{name}.npy`` or ``{name}.png`` for each image, as `LoadCoarsePrediction` reads them.

    Args:
        folder (str | Path): The folder.
        num_slots (int): K, the number of foreground classes. With more than one a PNG holds labels from 0 to K; with
            one the grey value over 255 is the probability.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, folder: str | Path, num_slots: int):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'there is no folder {folder} of coarse masks; give the folder with {{name}}.npy')
        self.num_slots = num_slots
        self.label_map = None if num_slots == 1 else {label: label for label in range(num_slots + 1)}
        self._load = LoadCoarsePrediction()

    def replace_coarse(self, model: CoarseToFine) -> None:
        """Let a model take the stored results instead of its coarse network's.

        Args:
            model (CoarseToFine): Is changed.

        Raises:
            ValueError: If it has no refiner, which could do anything with them.
        """
        if model.refiner is None:
            raise ValueError('a model of phase 1 has no refiner: with given masks there is nothing left for it to do')
        model.coarse = PrecomputedCoarse(self.num_slots)

    def check(self, sources: Sequence[ImageSource]) -> None:
        """Check that there is one file for each image, and that it can be used.

        Raises:
            DatasetError: If there is none or more than one.
            ValueError: Of the first that cannot be read as probabilities or labels.
        """
        faults = Faults(f'the coarse masks in {self.folder}')
        for source in sources:
            found = self._files(source)
            if not found:
                faults.add('no mask', source.name, 'put {name}.npy or {name}.png there for each image')
            elif len(found) > 1:
                faults.add('more than one mask', f'{source.name} ({", ".join(found)})', 'keep one of them')
        faults.raise_if_any()
        # What is wrong in one is mostly wrong in all: the first is enough.
        for source in sources:
            (name,) = self._files(source)
            self._load.read(str(self.folder / name), self.label_map)

    def read(self, source: ImageSource, size: tuple[int, int]) -> Tensor:
        """The probabilities of an image.

        Args:
            source (ImageSource): The image.
            size (tuple[int, int]): Its (H, W) in pixels, to which they are resized.

        Returns:
            Tensor: (K, H, W) float in [0, 1].

        Raises:
            ValueError: If the file is unreadable, or has another number of classes.
        """
        (name,) = self._files(source)
        path = str(self.folder / name)
        results = dict(img=np.empty((*size, 0)), coarse_path=path, coarse_label_map=self.label_map, seg_fields=[])
        probability = torch.from_numpy(self._load.transform(results)['coarse_probability'])
        slots = probability[None] if probability.ndim == 2 else probability.permute(2, 0, 1)
        if len(slots) != self.num_slots:
            raise ValueError(f'the coarse mask {path} has {len(slots)} classes, the model {self.num_slots}')
        return slots.contiguous()

    def _files(self, source: ImageSource) -> list[str]:
        return [source.name + ending for ending in ENDINGS if (self.folder / (source.name + ending)).is_file()]
