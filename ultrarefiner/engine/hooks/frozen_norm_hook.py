"""FrozenNormHook: normalisation that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from torch import nn

from ...registry import HOOKS
from ...utils.freeze import freeze
from ...utils.unwrap import unwrap
from .model_parts import check_late_freezing, find_parts


@HOOKS.register_module()
class FrozenNormHook(Hook):
    """Keeps the running statistics of normalisation layers as they are, and on demand their scale and shift.

    The small batches that a refiner leaves memory for would else replace the statistics of phase 1. A layer is a
    normalisation if its class has 'Norm' in its name and it holds no other module. Group and layer normalisation have
    no statistics; only their scale and shift can be frozen.

    Args:
        parts (str | Sequence[str]): Regular expressions that match whole module paths, such as 'coarse'.
        affine (bool): Whether scale and shift are frozen too; distributed training then needs
            ``find_unused_parameters=True`` in the config. Defaults to False.
    """

    priority = 'HIGH'  # before others count what trains, or note what they may release

    def __init__(self, parts: str | Sequence[str], affine: bool = False):
        self.patterns = [parts] if isinstance(parts, str) else list(parts)
        self.affine = affine

    def check_run(self, runner) -> None:
        """Check what the config asks for, before any training.

        Raises:
            ValueError: If a name matches nothing or nothing that can be frozen, or the distributed wrapper cannot do
                without a gradient.
        """
        if self.affine:
            check_late_freezing(runner.model, 'FrozenNormHook(affine=True)')
        for pattern in self.patterns:
            norms, frozen = self._find(runner, pattern)
            if not frozen:
                raise ValueError(
                    f'FrozenNormHook: {pattern!r} has {len(norms)} normalisation layers, none of them with running '
                    'statistics; set affine=True to freeze their scale and shift, or drop the name'
                )

    def before_train(self, runner) -> None:
        """Freeze.

        Raises:
            ValueError: As `check_run`.
        """
        self.check_run(runner)
        for pattern in self.patterns:
            norms, frozen = self._find(runner, pattern)
            for norm in frozen:
                self._freeze(norm)
            runner.logger.info(f'{len(frozen)} of {len(norms)} normalisation layers of {pattern!r} are frozen')

    def _find(self, runner, pattern: str) -> tuple[list[nn.Module], list[nn.Module]]:
        """The normalisation layers of a part, and those of them that are to be frozen."""
        norms = [norm for part in find_parts(unwrap(runner.model), pattern).values() for norm in _norms(part)]
        return norms, [norm for norm in norms if self.affine or _has_statistics(norm)]

    def _freeze(self, norm: nn.Module) -> None:
        if self.affine:
            freeze(norm)
        else:
            norm.eval()
            norm.is_frozen = True


def _norms(part: nn.Module) -> list[nn.Module]:
    return [module for module in part.modules() if 'Norm' in type(module).__name__ and not list(module.children())]


def _has_statistics(norm: nn.Module) -> bool:
    return getattr(norm, 'running_mean', None) is not None
