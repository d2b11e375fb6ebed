"""UncertaintyGate: trust the refined mask where the coarse one is in doubt."""

import torch
from torch import Tensor

from ...interfaces import BaseGate
from ...registry import GATES


@GATES.register_module()
class UncertaintyGate(BaseGate):
    """``g = gmin + (gmax - gmin) * (1 - |2c - 1|^gamma)``, with c the coarse probability.

    The gate is ``gmax`` where c = 0.5 and falls to ``gmin`` where the coarse network is sure. A larger ``gamma`` opens
    it *wider*: at c = 0.75 it is 0.5 of the way for gamma = 1, 0.75 for 2 and 0.94 for 4. ``gmin = gmax`` is a constant
    gate. It has no weights; gradient flows through c.

    In a config::

        gate=dict(type='UncertaintyGate', gamma=1.0, gmin=0.0, gmax=0.8)

    Args:
        gamma (float): At least 1. Defaults to 1.0.
        gmin (float): Gate where the coarse network is sure, in [0, gmax]. Defaults to 0.0.
        gmax (float): Gate where it is in doubt, in [gmin, 1]. Defaults to 1.0.

    Raises:
        ValueError: If ``gamma`` is below 1, where the gradient at c = 0.5 is infinite, or ``gmin`` and ``gmax`` are out
            of range.
    """

    def __init__(self, gamma: float = 1.0, gmin: float = 0.0, gmax: float = 1.0):
        super().__init__()
        if not gamma >= 1:
            raise ValueError(
                f'UncertaintyGate: gamma is {gamma}, expected at least 1 (below, the gradient at probability 0.5 is '
                'infinite); a smaller gmax closes the gate too'
            )
        if not 0 <= gmin <= gmax <= 1:
            raise ValueError(f'UncertaintyGate: gmin is {gmin} and gmax {gmax}, expected 0 <= gmin <= gmax <= 1')
        self.gamma = gamma
        self.gmin = gmin
        self.gmax = gmax

    def forward(self, coarse: Tensor, refined: Tensor) -> Tensor:
        """Make the gate, (N, K, H, W) in [gmin, gmax], from the coarse logits (N, K, H, W) alone."""
        logits = coarse.to(torch.promote_types(coarse.dtype, torch.float32))
        sureness = (logits / 2).tanh().abs()  # |2c - 1|
        return self.gmin + (self.gmax - self.gmin) * (1 - sureness**self.gamma)
