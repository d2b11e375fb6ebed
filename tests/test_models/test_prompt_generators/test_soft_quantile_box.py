import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS


@pytest.mark.parametrize('quantile', [0.01, 0.1])
def test_box_of_a_rectangle_is_exact_up_to_the_quantile(quantile):
    mask = rectangle((64, 64), 10, 20, 40, 36)
    box = prompts_of(dict(type='SoftQuantileBox', quantile=quantile), logits_of(mask, 0.01)).boxes[0, 0] * 64
    expected = [10 + 30 * quantile, 20 + 16 * quantile, 40 - 30 * quantile, 36 - 16 * quantile]
    torch.testing.assert_close(box, torch.tensor(expected), atol=1e-3, rtol=0)


def test_box_of_an_ellipse_is_7_percent_small():
    box = prompts_of(dict(type='SoftQuantileBox'), logits_of(ellipse((64, 64), (0.5, 0.5), (0.3, 0.2)))).boxes[0, 0]
    assert float((box[2] - box[0]) / 0.6) == pytest.approx(0.93, abs=0.01)
    assert float((box[3] - box[1]) / 0.4) == pytest.approx(0.93, abs=0.01)


def test_a_far_speck_hardly_moves_it_but_moves_the_moment_box():
    mask = rectangle((64, 64), 10, 10, 30, 30)
    with_speck = mask + rectangle((64, 64), 60, 60, 61, 61)  # 0.25 % of the weight
    moved = {}
    for name in ('SoftQuantileBox', 'MomentBox'):
        before, after = (prompts_of(dict(type=name), logits_of(shape)).boxes for shape in (mask, with_speck))
        moved[name] = float((before - after).abs().max()) * 64
    assert moved['SoftQuantileBox'] < 0.1
    assert moved['MomentBox'] > 0.7


def test_gradient_is_the_derivative():
    logits = torch.randn(
        1, 2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    cfg = dict(type='SoftQuantileBox', quantile=0.05)
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).boxes, logits)


@pytest.mark.parametrize('arguments', [dict(quantile=0.5), dict(floor=0.6)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PROMPT_GENERATORS.build(dict(type='SoftQuantileBox', **arguments))
