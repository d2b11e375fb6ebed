"""HybridGate: the product of gates."""

from functools import reduce
from operator import mul

from torch import Tensor, nn

from ...interfaces import BaseGate
from ...registry import GATES


@GATES.register_module()
class HybridGate(BaseGate):
    """The product of several gates: open where all of them are.

    In a config, an uncertainty gate that a learned one closes further::

        gate=dict(type='HybridGate', gates=[dict(type='UncertaintyGate'), dict(type='LearnedGate')])

    Args:
        gates (list[dict]): Configs of gates.

    Raises:
        ValueError: If there are no gates.
    """

    def __init__(self, gates: list):
        super().__init__()
        if not gates:
            raise ValueError('HybridGate: gates is empty, expected at least one config of a gate')
        self.gates = nn.ModuleList(GATES.build(gate) for gate in gates)

    def forward(self, coarse: Tensor, refined: Tensor) -> Tensor:
        """Make the gate, (N, K, H, W) in [0, 1], from logits (N, K, H, W)."""
        return reduce(mul, (gate(coarse, refined) for gate in self.gates))
