import math

import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS

SIZE = (64, 64)
ELLIPSES = {
    'disc': ((0.5, 0.5), (0.2, 0.2)),
    'disc off centre': ((0.3, 0.65), (0.15, 0.15)),
    'small disc': ((0.7, 0.3), (0.06, 0.06)),
    'ellipse': ((0.4, 0.55), (0.25, 0.1)),
}
RECTANGLES = {'square': (20, 20, 44, 44), 'rectangle off centre': (6, 30, 40, 42)}
BACKGROUNDS = (0.0, 0.001, 0.01)


def authors_box(logits, k=2.5):
    """The formula of the method's authors: centroid plus and minus 2.5 standard deviations of the probabilities."""
    p = logits.sigmoid()[0, 0]
    centres = (torch.arange(64) + 0.5) / 64
    edges = []
    for profile in (p.sum(0), p.sum(1)):
        mean = (profile * centres).sum() / profile.sum()
        std = ((profile * (centres - mean).square()).sum() / profile.sum()).sqrt()
        edges.append((mean - k * std, mean + k * std))
    return torch.stack([edges[0][0], edges[1][0], edges[0][1], edges[1][1]]).clamp(0, 1)


def true_box(centre, radii):
    return torch.tensor([centre[0] - radii[0], centre[1] - radii[1], centre[0] + radii[0], centre[1] + radii[1]])


@pytest.mark.parametrize('background', BACKGROUNDS)
@pytest.mark.parametrize('name', ELLIPSES)
def test_k_2_is_exact_for_an_ellipse(name, background):
    centre, radii = ELLIPSES[name]
    logits = logits_of(ellipse(SIZE, centre, radii), background, inside=0.97)
    error = (prompts_of(dict(type='MomentBox'), logits).boxes[0, 0] - true_box(centre, radii)).abs().max() * 64
    assert error < 0.25  # pixels
    authors = (authors_box(logits) - true_box(centre, radii)).abs().max() * 64
    assert authors > max(0.9, 4 * error)


@pytest.mark.parametrize('background', BACKGROUNDS)
@pytest.mark.parametrize('name', RECTANGLES)
def test_root_3_is_exact_for_a_rectangle(name, background):
    logits = logits_of(rectangle(SIZE, *RECTANGLES[name]), background, inside=0.97)
    box = prompts_of(dict(type='MomentBox', k=math.sqrt(3)), logits).boxes[0, 0]
    torch.testing.assert_close(box * 64, torch.tensor(RECTANGLES[name], dtype=torch.float32), atol=1e-4, rtol=0)


def test_background_up_to_the_floor_moves_nothing_at_all():
    mask = ellipse(SIZE, (0.3, 0.4), (0.1, 0.15)).gt(0.5).float()
    boxes = [prompts_of(dict(type='MomentBox'), logits_of(mask, background)).boxes for background in (0, 0.01, 0.099)]
    assert torch.equal(boxes[0], boxes[1]) and torch.equal(boxes[0], boxes[2])


def test_the_authors_formula_covers_the_image_at_one_percent():
    """The docstring's figures: a lesion of radius 10 pixels in an image of 224, half-width in pixels."""
    area, image = math.pi * 100, 224**2
    for background, expected in ((0.0, 12.5), (0.001, 61), (0.01, 127)):
        # A centred disc: variance 10^2 / 4; the background of the whole image: 224^2 / 12.
        object_weight = (1 - background) * area
        variance = (object_weight * 25 + background * image * 224**2 / 12) / (object_weight + background * image)
        assert 2.5 * math.sqrt(variance) == pytest.approx(expected, rel=0.02)


def test_one_pixel_gives_the_pixel_at_root_3():
    box = prompts_of(dict(type='MomentBox', k=math.sqrt(3)), logits_of(rectangle(SIZE, 5, 9, 6, 10))).boxes[0, 0]
    torch.testing.assert_close(box * 64, torch.tensor([5.0, 9.0, 6.0, 10.0]), atol=1e-4, rtol=0)


def test_enlarging_by_whole_factors_leaves_the_box():
    logits = torch.randn(2, 2, 12, 16, generator=torch.Generator().manual_seed(0))
    enlarged = logits.repeat_interleave(3, dim=-1).repeat_interleave(5, dim=-2)
    small, large = (prompts_of(dict(type='MomentBox', k=1.0), values).boxes for values in (logits, enlarged))
    torch.testing.assert_close(small, large, atol=1e-5, rtol=0)


def test_gradient_is_the_formulas():
    """Of x1 = mean + k std: (u + k (u^2 - std^2) / (2 std)) / sum(w) per unit of weight, u = x - mean."""
    logits = logits_of(ellipse(SIZE, (0.4, 0.55), (0.25, 0.1)), inside=0.97).double().requires_grad_()
    prompts_of(dict(type='MomentBox'), logits).boxes[0, 0, 2].backward()
    p = logits.detach().sigmoid()[0, 0]
    weights = (p - 0.1).relu() / 0.9
    x = (torch.arange(64) + 0.5).double() / 64
    mean = (weights.sum(0) * x).sum() / weights.sum()
    std = ((weights.sum(0) * (x - mean) ** 2).sum() / weights.sum() + 1 / (12 * 64**2)).sqrt()
    variance = std**2 - 1 / (12 * 64**2)
    slope = ((x - mean) + 2 * ((x - mean) ** 2 - variance) / (2 * std)) / weights.sum()
    expected = slope * (p > 0.1) / 0.9 * p * (1 - p)
    torch.testing.assert_close(logits.grad[0, 0], expected, atol=1e-12, rtol=1e-6)


def test_an_edge_outside_the_image_is_clamped_and_has_no_gradient():
    logits = (rectangle(SIZE, 0, 20, 12, 40) * 8 - 4)[None, None].requires_grad_()
    box = prompts_of(dict(type='MomentBox'), logits).boxes[0, 0]
    norms = [float(torch.autograd.grad(edge, logits, retain_graph=True)[0].norm()) for edge in box]
    assert box[0] == 0 and norms[0] == 0
    assert min(norms[1:]) > 1e-5


def test_gradient_is_the_derivative():
    noise = torch.randn(1, 2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cfg = dict(type='MomentBox', k=0.8, power=2.0)
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).boxes, noise.requires_grad_())


@pytest.mark.parametrize('arguments', [dict(k=0), dict(floor=0.5), dict(floor=-0.1), dict(power=0.9)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PROMPT_GENERATORS.build(dict(type='MomentBox', **arguments))
