"""FixedViews: augmentation of which each image has a fixed number of results."""

from __future__ import annotations

import random
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose

from ...corruption import corruption_rng
from ...registry import TRANSFORMS

EPOCH_UNKNOWN = -1


@TRANSFORMS.register_module()
class FixedViews(BaseTransform):
    """Applies random transforms so that each image comes in `views` versions, the same in every run.

    With an `EmbeddingCache` every version is then encoded once, in training or before it by
    ``tools/precompute_embeddings.py``. Image, masks and coarse prediction move together, as they do without it. A
    version depends on the seed, the image's name and its number alone. Which one an image comes in is drawn anew each
    epoch; in any `views` epochs from a multiple of `views` on, each version comes once. The epoch comes from
    `DatasetEpochHook`, which the config's ``custom_hooks`` need.

    Args:
        transforms (list[dict]): Configs of the random transforms.
        views (int): Versions of each image. Defaults to 4.
        seed (int): Defaults to 0.

    Raises:
        ValueError: If there are no views, or the epoch is not known.
    """

    def __init__(self, transforms: list, views: int = 4, seed: int = 0):
        if views < 1:
            raise ValueError(f'FixedViews.views is {views!r}, expected at least 1')
        self.transforms = Compose(transforms)
        self.views = views
        self.seed = seed
        # In shared memory: workers that live for the whole training see the next epoch too.
        self._epoch = torch.tensor(EPOCH_UNKNOWN).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, for all workers; between two epochs, when no worker is loading."""
        self._epoch.fill_(epoch)

    def transform(self, results: dict) -> dict:
        """Apply the transforms; ``view`` is the number of the version."""
        epoch = int(self._epoch)
        if epoch == EPOCH_UNKNOWN:
            raise ValueError(
                "FixedViews does not know the epoch: add dict(type='DatasetEpochHook') to the config's "
                'custom_hooks; outside of a Runner call its set_epoch'
            )
        name = f'{results.get("dataset", "")}/{results.get("name", Path(results["img_path"]).stem)}'
        cycle, place = divmod(epoch, self.views)
        view = int(corruption_rng(self.seed, f'order of {name}', epoch=cycle).permutation(self.views)[place])
        with seeded(int(corruption_rng(self.seed, f'view of {name}', copy=view).integers(2**32))):
            results = self.transforms(results)
        results['view'] = view
        return results


@contextmanager
def seeded(seed: int):
    """Seed the global generators of random, numpy and torch (CPU) inside; outside they go on as if nothing was."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.random.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
