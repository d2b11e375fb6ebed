"""CoarseGuardHook: what a guard of the coarse network does beside acting."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mmengine.hooks import Hook

from ...utils.unwrap import unwrap
from ..averaged_copies import averaged_copies


class CoarseGuardHook(Hook, ABC):
    """Acts when the coarse masks of a validation are worse than before training, by more than a tolerance.

    How good they were before is measured by a validation before the first epoch. It counts like any other: its metrics
    are logged at epoch 0, and the weights at the start may become the best checkpoint. What it measured goes into every
    checkpoint, so that a resumed run is held to the same. All processes of a distributed run see the same metrics, and
    act alike.

    Args:
        tolerance (float): How far the metric may fall. Defaults to 0.02.
        metric (str): What is compared, larger is better. Defaults to 'coarse/Dice'.

    Raises:
        ValueError: If ``tolerance`` is negative.
    """

    priority = 'LOWEST'  # after CheckpointHook has set itself up, and has saved what was validated

    def __init__(self, tolerance: float = 0.02, metric: str = 'coarse/Dice'):
        if not tolerance >= 0:
            raise ValueError(f'{type(self).__name__}: tolerance is {tolerance}, expected at least 0')
        self.tolerance = tolerance
        self.metric = metric
        self.info = f'before_{type(self).__name__}'

    @abstractmethod
    def on_drop(self, runner, value: float, before: float) -> None:
        """Act.

        Args:
            runner (Runner): The runner of the training process.
            value (float): The metric now, below ``before - tolerance``.
            before (float): The metric before training.
        """

    def check_run(self, runner) -> None:
        """Check what the config asks for, before any training.

        Raises:
            ValueError: If the run does not validate.
        """
        if runner.val_loop is None:
            raise ValueError(
                f'{type(self).__name__} compares validations, and this run has none; set val_dataloader, val_cfg and '
                'val_evaluator, or drop the hook'
            )

    def before_train(self, runner) -> None:
        """Validate before the first step.

        Raises:
            ValueError: As `check_run`.
        """
        self.check_run(runner)
        if runner.iter == 0 and runner.message_hub.get_info(self.info) is None:
            for average in averaged_copies(runner):
                average.load_state_dict(unwrap(runner.model).state_dict())
            runner.val_loop.run()

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Compare.

        Raises:
            ValueError: If the metric is not measured, or the resumed run was not guarded from its start.
        """
        value = self.value_of(metrics)
        before = runner.message_hub.get_info(self.info)
        if before is None:
            if runner.iter > 0:
                raise ValueError(
                    f'{type(self).__name__}: the resumed checkpoint does not say what {self.metric} was before '
                    'training; resume with the hooks that the run began with, or begin anew'
                )
            runner.message_hub.update_info(self.info, value)
            runner.logger.info(f'{type(self).__name__}: {self.metric} before training is {value:.4f}')
        elif not value >= before - self.tolerance:  # no number is a drop too
            # With the epoch in it: mmengine drops a warning that repeats another.
            runner.logger.warning(
                f'{type(self).__name__}: {self.metric} is {value:.4f} after epoch {runner.epoch}, more than '
                f'{self.tolerance:g} below the {before:.4f} before training'
            )
            self.on_drop(runner, value, before)

    def value_of(self, metrics: dict[str, float] | None) -> float:
        """The metric that is compared.

        Raises:
            ValueError: If it is not among those measured.
        """
        if self.metric not in (metrics or {}):
            raise ValueError(
                f'{type(self).__name__}: the validation gives no {self.metric!r}, only {sorted(metrics or {})}; check '
                'metric, and the stages of RefinementMetric'
            )
        return float(metrics[self.metric])
