import pytest
import torch
from prompt_shapes import crescent, ellipse, logits_of, probability_at, prompts_of, rectangle, ring, two_lesions

from ultrarefiner.registry import PROMPT_GENERATORS


def test_points_of_a_rectangle_are_the_centres_of_its_cells():
    logits = logits_of(rectangle((64, 64), 8, 20, 56, 44), background=0.01)
    prompts = prompts_of(dict(type='GridPoints', rows=2, columns=3), logits)
    expected = torch.tensor([[x, y] for y in (26, 38) for x in (16, 32, 48)]) / 64
    torch.testing.assert_close(prompts.points[0, 0], expected, atol=1e-5, rtol=0)
    assert prompts.point_labels.tolist() == [[[1] * 6]]


def test_points_of_a_disc_are_the_centroids_of_its_quarters():
    prompts = prompts_of(dict(type='GridPoints'), logits_of(ellipse((64, 64), (0.5, 0.45), (0.3, 0.3))))
    offset = 4 / (3 * torch.pi) * 0.3
    expected = torch.tensor([[0.5 + i * offset, 0.45 + j * offset] for j in (-1, 1) for i in (-1, 1)])
    torch.testing.assert_close(prompts.points[0, 0], expected, atol=2e-3, rtol=0)


def test_cells_have_equal_weight_not_equal_size():
    """Two bars, 30 and 10 pixels wide: the median column is 20 pixels into the wide one."""
    mask = rectangle((32, 64), 4, 8, 34, 24) + rectangle((32, 64), 50, 8, 60, 24)
    points = prompts_of(dict(type='GridPoints', rows=1, columns=2), logits_of(mask)).points[0, 0] * 64
    right = (10 * 29 + 10 * 55) / 20  # Columns 24 to 34 and 50 to 60; between the bars, so the deepest pixel instead.
    torch.testing.assert_close(points[0], torch.tensor([14.0, 32.0]), atol=1e-3, rtol=0)
    assert probability_at(mask, torch.tensor([right / 64, 0.5])) == 0
    assert probability_at(mask, points[1] / 64) == 1 and float(points[1, 0]) > 24


@pytest.mark.parametrize('grid', [(1, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize('shape', [ring, crescent, two_lesions])
def test_points_lie_inside_and_apart(shape, grid):
    mask = shape()
    logits = logits_of(mask, background=0.01, inside=0.97).requires_grad_()
    prompts = prompts_of(dict(type='GridPoints', rows=grid[0], columns=grid[1]), logits)
    kept = prompts.points[0, 0][prompts.point_labels[0, 0] == 1]
    assert len(kept) >= (grid[0] * grid[1] + 1) // 2
    assert all(probability_at(mask, point) > 0.5 for point in kept.detach())
    apart = torch.cdist(kept.detach(), kept.detach()) + 9 * torch.eye(len(kept))
    assert float(apart.min()) > 1 / 64
    kept.sum().backward()
    assert 0 < float(logits.grad.norm()) < 1


def test_a_cell_without_weight_gets_padding():
    mask = rectangle((32, 32), 4, 4, 12, 12) + rectangle((32, 32), 20, 20, 28, 28)
    prompts = prompts_of(dict(type='GridPoints'), logits_of(mask))
    assert prompts.point_labels.tolist() == [[[1, -1, -1, 1]]]
    torch.testing.assert_close(prompts.points[0, 0, [0, 3]], torch.tensor([[0.25, 0.25], [0.75, 0.75]]))
    torch.testing.assert_close(prompts.points[0, 0, 1], torch.tensor([0.5, 0.5]))


def test_gradient_is_the_derivative():
    noise = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = (0.3 * noise + 5 * rectangle((8, 8), 2, 1, 6, 6) - 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: prompts_of(dict(type='GridPoints'), x).points, logits)


def test_a_grid_without_cells_is_refused():
    with pytest.raises(ValueError, match='rows and columns are 0 and 2'):
        PROMPT_GENERATORS.build(dict(type='GridPoints', rows=0))
