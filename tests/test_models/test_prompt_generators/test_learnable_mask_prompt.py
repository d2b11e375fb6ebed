import math

import pytest
import torch

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput

LOGITS = torch.tensor([[[[-1e4, -2.5, 0.3, 1e4]]]])


def build(**arguments):
    return PROMPT_GENERATORS.build(dict(type='LearnableMaskPrompt', **arguments))


def test_it_starts_as_the_logits():
    masks = build()(SegOutput(LOGITS), []).masks
    assert masks.flatten().tolist() == pytest.approx([-20, -2.5, 0.3, 20])


def test_scale_and_bias():
    masks = build(scale=2.0, bias=-1.0, limit=5.0)(SegOutput(LOGITS), []).masks
    assert masks.flatten().tolist() == pytest.approx([-11, -6, -0.4, 9])


def test_gradient_reaches_both_weights_and_the_logits():
    """The sum of exp(s) * z + b has the gradients exp(s) * sum(z) (z clamped), the number of pixels, and exp(s)."""
    generator, logits = build(scale=3.0), LOGITS.clone().requires_grad_()
    generator(SegOutput(logits), []).masks.sum().backward()
    assert generator.log_scale.grad.item() == pytest.approx(3 * (-20 - 2.5 + 0.3 + 20), rel=1e-4)
    assert generator.bias.grad.item() == 4
    assert logits.grad.flatten().tolist() == pytest.approx([0, 3, 3, 0])


def test_the_scale_stays_positive_in_training():
    """A loss that wants the mask inverted shrinks the scale, but cannot turn its sign."""
    generator = build()
    optimizer = torch.optim.SGD([generator.log_scale], lr=0.5)
    logits = torch.tensor([[[[-2.0, 2.0]]]])
    for _ in range(50):
        optimizer.zero_grad()
        (generator(SegOutput(logits), []).masks + logits).square().mean().backward()
        optimizer.step()
    assert 0 < math.exp(generator.log_scale.item()) < 0.1


def test_it_learns_the_calibration_of_logits_that_are_too_sure():
    """Logits three times too large and one too high: maximum likelihood finds 1 / 3 and -1 / 3."""
    draw = torch.Generator().manual_seed(0)
    true_logits = 2 * torch.randn(1, 1, 200, 200, generator=draw)
    truth = (torch.rand(true_logits.shape, generator=draw) < true_logits.sigmoid()).float()
    generator = build()
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        masks = generator(SegOutput(3 * true_logits + 1), []).masks
        torch.nn.functional.binary_cross_entropy_with_logits(masks, truth).backward()
        optimizer.step()
    assert math.exp(generator.log_scale.item()) == pytest.approx(1 / 3, abs=0.02)
    assert generator.bias.item() == pytest.approx(-1 / 3, abs=0.05)


@pytest.mark.parametrize('argument', ['scale', 'limit'])
def test_arguments_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=f'{argument} is 0, expected a positive number'):
        build(**{argument: 0})
