"""StopOnCoarseDropHook: no training on a coarse network that fell apart."""

from ...registry import HOOKS
from .coarse_guard_hook import CoarseGuardHook


@HOOKS.register_module()
class StopOnCoarseDropHook(CoarseGuardHook):
    """Stops training when the coarse masks are worse than before it, by more than a tolerance.

    The best checkpoint stays. See `CoarseGuardHook` for how that is measured, and for the arguments.
    """

    def on_drop(self, runner, value: float, before: float) -> None:
        """Stop after this epoch."""
        runner.logger.warning('training stops; try a smaller coarse_gradient_scale, an L2Anchor or RestoreCoarseHook')
        runner.train_loop.stop_training = True
