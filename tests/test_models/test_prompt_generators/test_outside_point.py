import pytest
import torch
from prompt_shapes import crescent, ellipse, logits_of, probability_at, prompts_of, rectangle, ring, two_lesions

from ultrarefiner.registry import PROMPT_GENERATORS

CFG = dict(type='OutsidePoint')


def disc():
    return ellipse((64, 64), (0.4, 0.6), (0.2, 0.2))


def corner_mask():
    """An L: a square of 32 pixels without its upper right quarter."""
    mask = rectangle((64, 64), 16, 16, 48, 48)
    mask[16:32, 32:48] = 0
    return mask


@pytest.mark.parametrize('shape', [disc, ring, crescent, two_lesions, corner_mask])
@pytest.mark.parametrize('expand', [0.0, 0.2])
def test_point_lies_outside_of_the_mask_and_inside_of_the_expanded_box(shape, expand):
    mask = shape()
    logits = logits_of(mask, background=0.01, inside=0.97).requires_grad_()
    prompts = prompts_of(dict(type='OutsidePoint', expand=expand), logits)
    point = prompts.points[0, 0, 0]
    assert prompts.point_labels.tolist() == [[[0]]]
    assert probability_at(mask, point) < 0.5
    box = prompts_of(dict(type='ThresholdBox'), logits).boxes[0, 0]
    margin = expand * (box[2:] - box[:2]) + 1e-5
    assert bool((point >= box[:2] - margin).all() and (point <= box[2:] + margin).all())
    (gradient,) = torch.autograd.grad(point.sum(), logits)
    soft_pixels = (logits.sigmoid() > 0.1) & (logits.sigmoid() < 0.5)
    assert (float(gradient.norm()) > 0) == bool(soft_pixels.any()) and float(gradient.norm()) < 1


def test_the_methods_point_fails_where_this_one_does_not():
    mask = disc()
    literal = prompts_of(dict(type='NegativePoint'), logits_of(mask)).points[0, 0, 0]
    assert probability_at(mask, literal) == 1


def test_point_lies_in_the_part_of_the_box_that_the_mask_leaves_free():
    """The free quarter is 16 pixels wide and deepest at its centre (40, 24); the corner draws the point towards it."""
    point = prompts_of(dict(type='OutsidePoint', expand=0.0), logits_of(corner_mask())).points[0, 0, 0] * 64
    assert 40 <= float(point[0]) < 43 and 21 < float(point[1]) <= 24
    torch.testing.assert_close(point[0] - 40, 24 - point[1], atol=1e-3, rtol=0)


def test_an_object_to_the_lower_left_has_its_point_to_the_upper_right():
    x, y = prompts_of(CFG, logits_of(disc())).points[0, 0, 0].tolist()
    assert x > 0.4 + 0.1 and y < 0.6 - 0.1


@pytest.mark.parametrize(
    'mask, expand',
    [(torch.ones(32, 32), 0.2), (rectangle((32, 32), 8, 8, 20, 24), 0.0), (rectangle((32, 32), 8, 8, 9, 9), 0.0)],
    ids=['full', 'fills its box', 'one pixel'],
)
def test_no_background_in_the_box_gives_a_padding_point(mask, expand):
    prompts = prompts_of(dict(type='OutsidePoint', expand=expand), logits_of(mask))
    assert prompts.point_labels.tolist() == [[[-1]]]
    assert prompts.valid.tolist() == [[True]]
    torch.testing.assert_close(prompts.points[0, 0, 0], torch.tensor([0.5, 0.5]))


def test_the_point_of_a_full_image_with_a_hole_is_in_the_hole():
    mask = torch.ones(32, 32)
    mask[4:10, 22:28] = 0
    x, y = (prompts_of(CFG, logits_of(mask)).points[0, 0, 0] * 32).tolist()
    assert 22 < x < 28 and 4 < y < 10


def test_the_deepest_pixel_takes_over_where_the_centroid_is_inside():
    """Two free bands left and right of a mask; with a power of 1 the corner decides too little between them."""
    mask = torch.ones(33, 33)
    mask[2:31, 2:6] = 0
    mask[2:31, 27:31] = 0
    mask[16, 2:5] = 1
    logits = logits_of(mask, background=0.2, inside=0.97).requires_grad_()
    point = prompts_of(dict(type='OutsidePoint', power=1.0), logits).points[0, 0, 0]
    assert probability_at(mask, point) == 0
    torch.testing.assert_close((point * 33) % 1, torch.tensor([0.5, 0.5]), atol=1e-4, rtol=0)
    (gradient,) = torch.autograd.grad(point.sum(), logits)
    assert float(gradient[0, 0, 2:31, 2:6].norm()) > 0 and float(gradient[0, 0, 2:31, 27:31].norm()) > 0


@pytest.mark.parametrize('box', ['ThresholdBox', 'MomentBox'])
def test_gradient_is_the_derivative(box):
    """With MomentBox also through the box: otherwise the finite differences would disagree."""
    noise = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = (0.3 * noise + 4 * corner_mask()[::8, ::8] - 2).requires_grad_()
    cfg = dict(type='OutsidePoint', box=dict(type=box))
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).points, logits)


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(expand=-0.1), 'expand'), (dict(floor=0.5), 'floor'), (dict(box=dict(type='MaskPrompt')), 'MaskPrompt')],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PROMPT_GENERATORS.build(dict(type='OutsidePoint', **arguments))
