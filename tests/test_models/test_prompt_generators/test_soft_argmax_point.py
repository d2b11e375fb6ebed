import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS


def test_point_of_a_rectangle_is_its_centre_in_xy_order():
    prompts = prompts_of(dict(type='SoftArgmaxPoint'), logits_of(rectangle((40, 64), 8, 4, 24, 12)))
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([16 / 64, 8 / 40]), atol=1e-6, rtol=0)
    assert prompts.point_labels.tolist() == [[[1]]]


def test_weights_are_the_probabilities_to_the_power():
    logits = torch.tensor([[[[0.2, 0.8]]]]).logit()
    for power in (1.0, 2.0):
        point = prompts_of(dict(type='SoftArgmaxPoint', power=power), logits).points[0, 0, 0]
        expected = (0.2**power * 0.25 + 0.8**power * 0.75) / (0.2**power + 0.8**power)
        torch.testing.assert_close(point, torch.tensor([expected, 0.5]))


def test_background_pulls_half_of_the_way_and_the_square_one_percent():
    mask = ellipse((64, 64), (0.2, 0.3), (0.0564, 0.0564))  # 1 % of the image
    for power, share in ((1.0, 0.497), (2.0, 0.0099)):
        point = prompts_of(dict(type='SoftArgmaxPoint', power=power), logits_of(mask, background=0.01)).points[0, 0, 0]
        assert float((point[0] - 0.2) / 0.3) == pytest.approx(share, rel=0.2)


def test_empty_slot_gets_the_centre_and_no_gradient():
    logits = torch.full((1, 1, 8, 8), -3.0, requires_grad=True)
    prompts = prompts_of(dict(type='SoftArgmaxPoint'), logits)
    assert prompts.valid.tolist() == [[False]]
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([0.5, 0.5]))
    prompts.points.sum().backward()
    assert float(logits.grad.abs().max()) == 0


def test_gradient_is_the_derivative():
    logits = torch.randn(
        1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: prompts_of(dict(type='SoftArgmaxPoint', power=2.0), x).points, logits)


@pytest.mark.parametrize('arguments', [dict(power=0.5), dict(threshold=0.0), dict(threshold=1.0)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PROMPT_GENERATORS.build(dict(type='SoftArgmaxPoint', **arguments))


@pytest.mark.parametrize('power', [1.0, 2.0])
def test_background_pulls_the_point_by_no_more_than_the_bound(power):
    """A disc of 5 % of the image in its corner, where the pull is strongest."""
    mask = ellipse((64, 64), (0.13, 0.13), (0.127, 0.127))
    cfg = dict(type='SoftArgmaxPoint', power=power)
    clean, leaking = (prompts_of(cfg, logits_of(mask, background, 0.97)).points for background in (0.0, 0.01))
    bound = PROMPT_GENERATORS.build(cfg).background_bound
    assert bound / 2 < float((leaking - clean).abs().max()) < bound
