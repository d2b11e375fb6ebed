"""DatasetEpochHook: tell the training pipeline which epoch it is."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from ...registry import HOOKS

# Where datasets and transforms hold the parts they wrap.
_HOLDERS = ('datasets', 'dataset', 'pipeline', 'transforms')


@HOOKS.register_module()
class DatasetEpochHook(Hook):
    """Calls ``set_epoch`` of the training pipeline's transforms that have it: `CorruptMask`, `FixedViews`.

    It does so before an epoch's first image is asked for; the number is right after a resume as well.
    """

    def before_train(self, runner) -> None:
        """Check that there are epochs.

        Raises:
            ValueError: If training counts iterations: its workers load ahead over the end of an epoch, and which epoch
                an image belongs to would be a matter of luck.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f'DatasetEpochHook: the train loop is {type(runner.train_loop).__name__}, expected one that counts '
                'epochs; set train_cfg.by_epoch=True'
            )

    def before_train_epoch(self, runner) -> None:
        """Tell the number of the epoch, from 0."""
        set_epoch(runner.train_loop.dataloader.dataset, runner.epoch)


def set_epoch(dataset, epoch: int) -> None:
    """Call ``set_epoch(epoch)`` of every transform of a dataset that has it."""
    for part in parts_with_epoch(dataset):
        part.set_epoch(epoch)


def parts_with_epoch(part) -> Iterator:
    """What has a ``set_epoch`` in a dataset, through wrappers of datasets and of transforms."""
    if hasattr(part, 'set_epoch'):
        yield part
    for holder in _HOLDERS:
        inner = getattr(part, holder, None)
        for item in inner if isinstance(inner, (list, tuple)) else [inner]:
            if item is not None:
                yield from parts_with_epoch(item)
