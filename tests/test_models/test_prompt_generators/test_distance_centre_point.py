import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle

from ultrarefiner.models.prompt_generators.distance_centre_point import soft_distance

CFG = dict(type='DistanceCentrePoint')


def probability_at(mask, point):
    return float(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def test_soft_distance_of_a_square_is_the_chessboard_distance():
    distance = soft_distance(rectangle((9, 9), 2, 2, 7, 7)[None, None])[0, 0]
    assert distance[4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]


def test_outside_of_the_image_counts_as_background():
    assert soft_distance(torch.ones(1, 1, 5, 5))[0, 0, 2].tolist() == [1, 2, 3, 2, 1]


def test_point_of_an_ellipse_is_its_centre():
    point = prompts_of(CFG, logits_of(ellipse((64, 48), (0.4, 0.6), (0.2, 0.12)))).points[0, 0, 0]
    torch.testing.assert_close(point, torch.tensor([0.4, 0.6]), atol=0.01, rtol=0)


def ring():
    return ellipse((64, 64), (0.5, 0.5), (0.4, 0.4)) * (1 - ellipse((64, 64), (0.5, 0.5), (0.25, 0.25)))


def crescent():
    return ellipse((64, 64), (0.5, 0.5), (0.4, 0.4)) * (1 - ellipse((64, 64), (0.65, 0.5), (0.35, 0.35)))


def two_lesions():
    return ellipse((64, 64), (0.2, 0.3), (0.15, 0.15)) + ellipse((64, 64), (0.75, 0.7), (0.12, 0.12))


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
