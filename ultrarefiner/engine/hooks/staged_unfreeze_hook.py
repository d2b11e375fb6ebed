"""StagedUnfreezeHook: parts that begin to train later."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from ...registry import HOOKS
from ...utils.freeze import freeze, is_trainable
from ...utils.unwrap import unwrap
from .model_parts import check_late_freezing, find_parts


@HOOKS.register_module()
class StagedUnfreezeHook(Hook):
    """Keeps parts of the model frozen for the first epochs, then trains them.

    The optimizer holds every weight from the start, so the schedule is one and resuming is simple; it neither moves nor
    decays a weight without a gradient, and its moments begin when the weight is released. What the config froze for
    good is never released. Several of these hooks release several parts one after the other.

    Distributed training needs ``find_unused_parameters=True`` in the config.

    Args:
        parts (str | Sequence[str]): Regular expressions that match whole module paths, such as 'coarse',
            'refiner.mask_decoder' or 'coarse.backbone'.
        epochs (int): For how many epochs they are frozen.

    Raises:
        ValueError: If ``parts`` is empty or ``epochs`` is below 1.
    """

    def __init__(self, parts: str | Sequence[str], epochs: int):
        self.patterns = [parts] if isinstance(parts, str) else list(parts)
        if not self.patterns or epochs < 1:
            raise ValueError(
                f'StagedUnfreezeHook: parts is {parts!r} and epochs is {epochs}, expected one or more names, and at '
                'least 1 epoch; drop the hook to train everything from the start'
            )
        self.epochs = epochs
        self._parts: dict[str, nn.Module] = {}
        self._weights: list[nn.Parameter] = []

    def check_run(self, runner) -> None:
        """Check what the config asks for, before any training.

        Raises:
            ValueError: If training counts iterations, a name matches nothing, or the distributed wrapper cannot do
                without a gradient.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f'StagedUnfreezeHook: the train loop is {type(runner.train_loop).__name__}, expected one that counts '
                'epochs; set train_cfg.by_epoch=True'
            )
        check_late_freezing(runner.model, 'StagedUnfreezeHook')
        for pattern in self.patterns:
            find_parts(unwrap(runner.model), pattern)

    def before_train(self, runner) -> None:
        """Find the parts and note what in them trains, before any such hook freezes.

        Raises:
            ValueError: As `check_run`, or if a name matches nothing that trains.
        """
        self.check_run(runner)
        self._parts = {}
        for pattern in self.patterns:
            found = find_parts(unwrap(runner.model), pattern)
            trainable = {path: part for path, part in found.items() if is_trainable(part)}
            if not trainable:
                raise ValueError(
                    f'StagedUnfreezeHook: nothing in {", ".join(found)} is trainable, so there is nothing to release; '
                    'check freeze_coarse and what the refiner freezes, or drop the name'
                )
            self._parts.update(trainable)
        weights = (weight for part in self._parts.values() for weight in part.parameters())
        self._weights = [weight for weight in weights if weight.requires_grad]

    def before_train_epoch(self, runner) -> None:
        """Freeze, while it is time; the number of the epoch is right after a resume as well."""
        if runner.epoch < self.epochs:
            runner.logger.info(f'frozen until the end of epoch {self.epochs}: {", ".join(self._parts)}')
            for part in self._parts.values():
                freeze(part)

    def after_train_epoch(self, runner) -> None:
        """Release, once it is time; hooks that hold a part of a part longer freeze it again before the next epoch."""
        if runner.epoch + 1 == self.epochs:
            for part in self._parts.values():
                part.is_frozen = False
            for weight in self._weights:
                weight.requires_grad_(True)
