"""CorruptMask: a coarse prediction simulated from the ground truth, for training a refiner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from ...corruption import corrupt, corruption_rng, load_preset
from ...registry import TRANSFORMS
from ...structures.stages import IGNORE_LABEL

EPOCH_UNKNOWN = -1
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
PHASES = 2**20  # Phases are multiples of 1 / PHASES: sums with whole numbers are then exact.


@TRANSFORMS.register_module()
class CorruptMask(BaseTransform):
    """Make ``coarse_probability`` from ``gt_seg_map``, with the errors that coarse networks make.

    **For training only.** The ground truth enters to simulate a coarse prediction; a validation or test on corrupted
    ground truth says nothing. Validate on real predictions, with `LoadCoarsePrediction`.

    Put it after `LoadMask` (and after `LoadCoarsePrediction`, where real predictions are mixed in) and *before* every
    transform that moves pixels, so that image, mask and corrupted mask move together.

    A corrupted mask depends on the seed, the image's name, ``copy`` and the epoch alone: it is the same with any number
    of workers and in any order. The epoch comes from `DatasetEpochHook`, which the config's ``custom_hooks`` need.

    The ratio is exact in every epoch: of the n images of a dataset floor(n * ratio) or the next whole number are
    corrupted, and as exact in every stretch of its list. Image i is corrupted where floor(i * ratio + phase) steps up;
    the phase moves on by the golden ratio each epoch, so that over the epochs each image is corrupted in its share.

    Args:
        preset (str | dict): One of `ultrarefiner.corruption.PRESETS` ('default', 'mild', 'severe', 'boundary_focus',
            'structural'), the path of a JSON file that `tools/analysis_tools/fit_corruption.py` wrote, or the content
            of one, such as ``dict(probabilities=dict(shift=1, empty=1))``. Defaults to 'default'.
        ratio (float): Share of the images that get a corrupted mask; the others keep the prediction that
            `LoadCoarsePrediction` loaded. With 1.0 no predictions are needed. Defaults to 1.0.
        target_dice (tuple[float, float], optional): Lowest and highest Dice that a corrupted mask should have with the
            ground truth, see `ultrarefiner.corruption.corrupt`.
        seed (int): Defaults to 0.
        copy (int): Number of the copy, where a ``ConcatDataset`` holds the same images several times with differently
            corrupted masks. Defaults to 0.

    Raises:
        ValueError: If an argument does not fit, the epoch is not known, or an image has no prediction to keep.
    """

    def __init__(
        self,
        preset: str | Mapping = 'default',
        ratio: float = 1.0,
        target_dice: tuple[float, float] | None = None,
        seed: int = 0,
        copy: int = 0,
    ):
        if not 0 < ratio <= 1:
            raise ValueError(f'CorruptMask.ratio is {ratio!r}, expected above 0 and at most 1')
        if target_dice is not None and not 0 <= target_dice[0] <= target_dice[1] <= 1:
            raise ValueError(f'CorruptMask.target_dice is {target_dice!r}, expected (low, high), 0 <= low <= high <= 1')
        self.preset = load_preset(preset)
        self.ratio = float(ratio)
        self.target_dice = None if target_dice is None else tuple(target_dice)
        self.seed = seed
        self.copy = copy
        # In shared memory: workers that live for the whole training see the next epoch too.
        self._epoch = torch.tensor(EPOCH_UNKNOWN).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, for all workers; between two epochs, when no worker is loading."""
        self._epoch.fill_(epoch)

    def transform(self, results: dict) -> dict:
        """Add or replace ``coarse_probability``, float32, (H, W) for one slot and (H, W, K) for more.

        ``corruption`` names what was done: 'none' for a real prediction, else the error type of each slot.
        """
        epoch = int(self._epoch)
        if epoch == EPOCH_UNKNOWN:
            raise ValueError(
                "CorruptMask does not know the epoch: add dict(type='DatasetEpochHook') to the config's "
                'custom_hooks; outside of a Runner call its set_epoch'
            )
        if not self._is_chosen(results, epoch):
            if 'coarse_probability' not in results:
                raise ValueError(
                    f'CorruptMask: {results["img_path"]} is to keep its real prediction (ratio={self.ratio}), but none '
                    "is loaded; put dict(type='LoadCoarsePrediction') before CorruptMask, or set ratio=1.0"
                )
            results['corruption'] = 'none'
            return results
        name = f'{results.get("dataset", "")}/{results.get("name", Path(results["img_path"]).stem)}'
        rng = corruption_rng(self.seed, name, self.copy, epoch)
        slots = max(label for label in results['label_map'].values() if label != IGNORE_LABEL)
        made = [
            corrupt(results['gt_seg_map'] == label, self.preset, rng, self.target_dice) for label in range(1, slots + 1)
        ]
        maps = [corruption.probability for corruption in made]
        results['coarse_probability'] = maps[0] if slots == 1 else np.stack(maps, axis=-1)
        results['corruption'] = ', '.join(corruption.error for corruption in made)
        if 'coarse_probability' not in results['seg_fields']:
            results['seg_fields'].append('coarse_probability')
        return results

    def _is_chosen(self, results: dict, epoch: int) -> bool:
        if self.ratio == 1:
            return True
        start = corruption_rng(self.seed, 'phase', self.copy).random()
        phase = math.floor((start + epoch * GOLDEN_RATIO) % 1 * PHASES) / PHASES
        index = results['sample_idx']
        return math.floor((index + 1) * self.ratio + phase) > math.floor(index * self.ratio + phase)
