import pytest
import torch
from prompt_shapes import crescent, ellipse, logits_of, probability_at, prompts_of, rectangle, ring, two_lesions

CFG = dict(type='DistanceCentrePoint')


def test_point_of_an_ellipse_is_its_centre():
    point = prompts_of(CFG, logits_of(ellipse((64, 48), (0.4, 0.6), (0.2, 0.12)))).points[0, 0, 0]
    torch.testing.assert_close(point, torch.tensor([0.4, 0.6]), atol=0.01, rtol=0)


@pytest.mark.parametrize('shape', [ring, crescent, two_lesions])
def test_point_lies_inside_where_the_centroid_does_not(shape):
    mask = shape()
    logits = logits_of(mask, background=0.01, inside=0.97).requires_grad_()
    point = prompts_of(CFG, logits).points[0, 0, 0]
    assert probability_at(mask, point) > 0.5
    assert probability_at(mask, prompts_of(dict(type='SoftArgmaxPoint'), logits).points[0, 0, 0]) < 0.5
    point.sum().backward()
    assert 0 < float(logits.grad.norm()) < 1


def test_gradient_is_the_derivative():
    # Rounded masks have ties, at which an erosion has no derivative; noise breaks them.
    noise = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = (0.3 * noise + 5 * rectangle((8, 8), 2, 1, 6, 6) - 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: prompts_of(CFG, x).points, logits)
