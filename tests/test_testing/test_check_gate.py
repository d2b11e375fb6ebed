"""Each promise of a gate has a gate that breaks it, and is caught."""

import pytest
import torch
from torch import nn

from ultrarefiner.interfaces import BaseGate
from ultrarefiner.testing import ContractError, check_gate


class Plain(BaseGate):
    """Half open, a little more where the masks agree."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, coarse, refined):
        agreement = (coarse.float() / 8).tanh() * (refined.float() / 8).tanh()
        return (self.scale * agreement).sigmoid()


class OneGateForAllSlots(Plain):
    def forward(self, coarse, refined):
        return super().forward(coarse, refined)[:, :1]


class Logits(Plain):
    def forward(self, coarse, refined):
        return refined


class Normalised(Plain):
    """Statistics over the images of a batch, in training alone."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, coarse, refined):
        gate = super().forward(coarse, refined).flatten(0, 1)[:, None]
        return self.norm(gate).sigmoid().view_as(coarse)


class ReadsAllSlots(Plain):
    def forward(self, coarse, refined):
        return super().forward(coarse, refined) * coarse.sigmoid().mean(dim=1, keepdim=True)


class SquareRoot(Plain):
    """An uncertainty gate with a power below 1."""

    def forward(self, coarse, refined):
        return super().forward(coarse, refined) * (1 - (coarse.float() / 2).tanh().abs().sqrt())


class Entropy(Plain):
    def forward(self, coarse, refined):
        p = coarse.float().sigmoid()
        return super().forward(coarse, refined) * -(p * p.log2() + (1 - p) * (1 - p).log2())


class UnusedWeight(Plain):
    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.zeros(2))


class Detached(Plain):
    def forward(self, coarse, refined):
        return super().forward(coarse, refined).detach()


class OverflowsInHalf(Plain):
    def forward(self, coarse, refined):
        gate = super().forward(coarse, refined)
        return gate + float('inf') if coarse.dtype == torch.bfloat16 else gate


def test_a_sound_gate_passes():
    check_gate(dict(type=Plain))


def test_a_hard_gate_without_weights_passes():
    class Agreement(BaseGate):
        def forward(self, coarse, refined):
            return ((coarse > 0) == (refined > 0)).float()

    check_gate(dict(type=Agreement))


@pytest.mark.parametrize(
    'broken, promise',
    [
        (OneGateForAllSlots, 'shape'),
        (Logits, 'range'),
        (Normalised, 'image independence'),
        (ReadsAllSlots, 'slot independence'),
        (SquareRoot, 'finite gradient, masks in full doubt'),
        (Entropy, 'range, extreme logits'),
        (UnusedWeight, 'every trainable parameter'),
        (Detached, 'every trainable parameter'),
        (OverflowsInHalf, 'range, bfloat16'),
    ],
)
def test_a_broken_gate_is_caught(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_gate(dict(type=broken))
    assert caught.value.promise.startswith(promise)
