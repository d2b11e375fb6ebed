"""HybridGate: a product."""

import pytest
import torch

from ultrarefiner.models.gates import HybridGate
from ultrarefiner.registry import GATES
from ultrarefiner.testing.toy_masks import ellipse_logits

UNCERTAINTY, CONSTANT = dict(type='UncertaintyGate'), dict(type='UncertaintyGate', gmin=0.5, gmax=0.5)
LEARNED = dict(type='LearnedGate', channels=4, size=(16, 16))


def test_it_is_the_product_of_its_parts():
    coarse = torch.tensor([0.5, 0.75, 0.9]).logit().view(1, 1, 1, 3)
    gate = HybridGate([UNCERTAINTY, CONSTANT, UNCERTAINTY])
    assert gate(coarse, coarse).flatten().tolist() == pytest.approx([0.5, 0.125, 0.02])


def test_it_closes_a_learned_gate_where_the_coarse_network_is_sure():
    coarse = torch.full((1, 1, 8, 8), 30.0)
    coarse[..., :4] = 0
    gate = HybridGate([UNCERTAINTY, LEARNED])
    values = gate(coarse, -coarse)
    assert (values[..., 4:] == 0).all()
    torch.testing.assert_close(values[..., :4], gate.gates[1](coarse, -coarse)[..., :4])


def test_every_part_learns():
    gate = GATES.build(dict(type='HybridGate', gates=[LEARNED, LEARNED]))
    coarse = ellipse_logits(1, 1)
    gate(coarse, coarse.flip(-1)).sum().backward()
    assert len(list(gate.parameters())) == 12
    assert all(parameter.grad.abs().sum() > 0 for parameter in gate.parameters() if parameter.ndim == 1)


def test_no_gate_is_refused():
    with pytest.raises(ValueError, match='gates is empty'):
        HybridGate([])
