import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS


def corner_mask():
    """An L: a square of 32 pixels without its upper right quarter."""
    mask = rectangle((64, 64), 16, 16, 48, 48)
    mask[16:32, 32:48] = 0
    return mask


def test_point_lies_in_the_part_of_the_box_that_the_mask_leaves_free():
    cfg = dict(type='NegativePoint', box=dict(type='ThresholdBox'), softness=0.001)
    prompts = prompts_of(cfg, logits_of(corner_mask()))
    # The free quarter: columns 32 to 48, rows 16 to 32.
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([40 / 64, 24 / 64]), atol=1e-3, rtol=0)
    assert prompts.point_labels.tolist() == [[[0]]]


def test_point_of_a_symmetric_object_is_the_objects_centre():
    """The documented weakness of the method's formula."""
    prompts = prompts_of(dict(type='NegativePoint'), logits_of(ellipse((64, 64), (0.4, 0.6), (0.2, 0.15))))
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([0.4, 0.6]), atol=5e-3, rtol=0)


@pytest.mark.parametrize('mask', [torch.ones(32, 32), rectangle((32, 32), 8, 8, 20, 24)], ids=['full', 'fills its box'])
def test_no_background_in_the_box_gives_a_padding_point(mask):
    prompts = prompts_of(dict(type='NegativePoint', box=dict(type='ThresholdBox')), logits_of(mask))
    assert prompts.point_labels.tolist() == [[[-1]]]
    assert prompts.valid.tolist() == [[True]]
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize('box', ['ThresholdBox', 'MomentBox'])
def test_gradient_is_the_derivative(box):
    """With MomentBox also through the box: otherwise the finite differences would disagree."""
    noise = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = (0.3 * noise + 4 * corner_mask()[::8, ::8] - 2).requires_grad_()
    cfg = dict(type='NegativePoint', box=dict(type=box), softness=0.1)
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).points, logits)


@pytest.mark.parametrize(
    'arguments, message', [(dict(softness=0), 'softness'), (dict(box=dict(type='MaskPrompt')), 'MaskPrompt')]
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PROMPT_GENERATORS.build(dict(type='NegativePoint', **arguments))
