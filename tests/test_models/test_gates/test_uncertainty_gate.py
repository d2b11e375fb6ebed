"""UncertaintyGate: values by hand, and which way gamma turns."""

import math

import pytest
import torch

from ultrarefiner.models.gates import UncertaintyGate


def at(probability, **options):
    logits = torch.tensor(probability, dtype=torch.float64).logit().view(1, 1, 1, 1)
    return UncertaintyGate(**options)(logits, torch.zeros_like(logits)).item()


@pytest.mark.parametrize(
    'gamma, expected',
    [(1.0, {0.5: 1.0, 0.75: 0.5, 0.25: 0.5, 0.9: 0.2}), (2.0, {0.75: 0.75, 0.9: 0.36}), (4.0, {0.75: 0.9375})],
)
def test_values_by_hand(gamma, expected):
    for probability, value in expected.items():
        assert at(probability, gamma=gamma) == pytest.approx(value)


def test_gmin_where_sure_and_gmax_in_doubt():
    options = dict(gmin=0.1, gmax=0.8)
    assert at(0.5, **options) == pytest.approx(0.8)
    assert at(0.75, **options) == pytest.approx(0.45)
    sure = torch.tensor([-1e4, 1e4]).view(1, 1, 1, 2)
    assert UncertaintyGate(**options)(sure, -sure).flatten().tolist() == pytest.approx([0.1, 0.1])


def test_a_larger_gamma_opens_wider():
    values = [at(0.8, gamma=gamma) for gamma in (1, 1.5, 2, 4, 8)]
    assert values == sorted(values) and values[0] < values[-1] < 1


def test_gradient_by_hand():
    logits = torch.tensor([math.log(3), 0.0]).view(1, 1, 1, 2).requires_grad_()
    UncertaintyGate()(logits, logits).sum().backward()
    # g = 2 (1 - c) above c = 0.5, so dg/dz = -2 c (1 - c) = -0.375 at c = 0.75; the kink at 0.5 has none.
    assert logits.grad.flatten().tolist() == pytest.approx([-0.375, 0.0])


@pytest.mark.parametrize(
    'options', [dict(gamma=0.5), dict(gamma=float('nan')), dict(gmin=0.6, gmax=0.5), dict(gmax=1.1)]
)
def test_values_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match='UncertaintyGate: g'):
        UncertaintyGate(**options)
