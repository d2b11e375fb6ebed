"""RestoreCoarseHook: the best coarse weights come back."""

from __future__ import annotations

from torch import Tensor

from ...registry import HOOKS
from ...utils.unwrap import unwrap
from ..averaged_copies import averaged_copies
from .coarse_guard_hook import CoarseGuardHook


@HOOKS.register_module()
class RestoreCoarseHook(CoarseGuardHook):
    """Puts the best coarse weights so far back when the coarse masks are worse than before training.

    The best are those of the validation with the largest metric, that before training included; they are kept on the
    CPU, and in every checkpoint but best.pth. The optimizer forgets its moments for the weights that are put back. See
    `CoarseGuardHook` for how worse is measured, and for the arguments.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._best: dict | None = None  # value, epoch, and the weights on the CPU

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Compare, then keep the weights if they are the best."""
        super().after_val_epoch(runner, metrics)
        value = self.value_of(metrics)
        if self._best is None or runner.iter == 0 or value > self._best['value']:
            self._best = dict(value=value, epoch=runner.epoch, weights=_on_cpu(_validated(runner)))

    def on_drop(self, runner, value: float, before: float) -> None:
        """Restore the weights, also the averaged ones, and forget the moments."""
        coarse = unwrap(runner.model).coarse
        for network in (coarse, *(average.coarse for average in averaged_copies(runner))):
            network.load_state_dict(self._best['weights'])
        for weight in coarse.parameters():
            runner.optim_wrapper.optimizer.state.pop(weight, None)
        runner.logger.warning(
            f'after epoch {runner.epoch} the coarse network goes on from its weights of epoch {self._best["epoch"]}, '
            f'with {self.metric} {self._best["value"]:.4f}'
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the weights for a resume."""
        checkpoint['best_coarse'] = self._best

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take up the weights again."""
        self._best = checkpoint.get('best_coarse')
        if self._best is not None:
            self._best['weights'] = _on_cpu(self._best['weights'])


def _validated(runner) -> dict[str, Tensor]:
    """The coarse weights that were validated: the averaged ones, if there are any."""
    return [unwrap(runner.model), *averaged_copies(runner)][-1].coarse.state_dict()


def _on_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().to('cpu', copy=True) for name, weight in weights.items()}
