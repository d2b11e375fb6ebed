import pytest
import torch
from prompt_shapes import crescent, logits_of, prompts_of, rectangle, ring, two_lesions

CFG = dict(type='SoftExtremesBox')


def weights_to_logits(weights):
    """Logits whose weight above the default floor of 0.1 is the given one."""
    return (0.1 + 0.9 * weights).logit()[None, None]


@pytest.mark.parametrize('background', [0.0, 0.01, 0.1])
@pytest.mark.parametrize('inside', [0.6, 0.97])
def test_box_is_tight_and_exact_for_any_shape_of_one_probability(inside, background):
    for shape in (ring, crescent, two_lesions, lambda: rectangle((48, 64), 10, 20, 40, 36)):
        logits = logits_of((shape() > 0.5).float(), background, inside)
        expected = prompts_of(dict(type='ThresholdBox'), logits).boxes
        torch.testing.assert_close(prompts_of(CFG, logits).boxes, expected, atol=2e-6, rtol=0)


def test_box_is_the_mean_over_the_thresholds():
    """Weights 0.25, 0.5, 1 from column 2 on: a quarter of the thresholds starts at 2, a quarter at 3, half at 4."""
    row = torch.tensor([0, 0, 0.25, 0.5, 1, 1, 0, 0, 0, 0])
    box = prompts_of(CFG, weights_to_logits(row.expand(4, -1))).boxes[0, 0]
    expected = (0.25 * 2 + 0.25 * 3 + 0.5 * 4) / 10
    torch.testing.assert_close(box, torch.tensor([expected, 0, 0.6, 1]), atol=1e-5, rtol=0)


def test_a_dent_behind_the_edge_does_not_count():
    row = torch.tensor([0, 0.5, 0.1, 1, 0.3, 0.8, 0, 0])
    box = prompts_of(CFG, weights_to_logits(row.expand(3, -1))).boxes[0, 0] * 8
    torch.testing.assert_close(box[[0, 2]], torch.tensor([0.5 * 1 + 0.5 * 3, 0.8 * 6 + 0.2 * 4]), atol=1e-4, rtol=0)


def test_a_speck_pulls_by_its_share_of_the_weight():
    """What the docstring says: (p - floor) / (largest - floor) of the way."""
    logits = logits_of(rectangle((64, 64), 10, 10, 30, 30), inside=0.9)
    logits[0, 0, 20, 59] = torch.tensor(0.3).logit()
    box = prompts_of(CFG, logits).boxes[0, 0] * 64
    share = (0.3 - 0.1) / (0.9 - 0.1)
    torch.testing.assert_close(box, torch.tensor([10, 10, 30 + share * 30, 30]), atol=1e-3, rtol=0)


def test_edge_of_a_border_that_falls_off_linearly_is_in_the_middle():
    columns = ((torch.arange(200) - 40) / 20).clamp(0, 1)
    box = prompts_of(CFG, weights_to_logits(columns.expand(8, -1))).boxes[0, 0]
    assert float(box[0] * 200) == pytest.approx(50, abs=0.6)


def test_gradient_is_the_derivative():
    noise = torch.randn(1, 2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: prompts_of(CFG, x).boxes, noise)


def test_gradient_reaches_the_soft_border_and_the_largest_pixel_only():
    weights = torch.tensor([0, 0.25, 0.5, 0.9, 0.8, 0.2, 0, 0]).expand(3, -1)
    logits = weights_to_logits(weights).requires_grad_()
    (gradient,) = torch.autograd.grad(prompts_of(CFG, logits).boxes[0, 0, 0], logits)
    signs = gradient[0, 0].sum(dim=0).sign().tolist()
    # More border moves the left edge outwards; a larger maximum, which makes the border count less, inwards.
    assert signs == [0, -1, -1, 1, 0, 0, 0, 0]
