import torch
from prompt_shapes import rectangle

from ultrarefiner.models.prompt_generators.soft_distance import soft_distance, sum_of_erosions


def test_soft_distance_of_a_square_is_the_chessboard_distance():
    distance = soft_distance(rectangle((9, 9), 2, 2, 7, 7)[None, None])[0, 0]
    assert distance[4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]


def test_outside_of_the_image_counts_as_background():
    assert soft_distance(torch.ones(1, 1, 5, 5))[0, 0, 2].tolist() == [1, 2, 3, 2, 1]


def test_the_border_goes_on_where_asked_and_the_count_bounds_the_distance():
    mask = rectangle((9, 9), 0, 0, 5, 9)[None, None]
    assert sum_of_erosions(mask, step=1, count=2, border=1.0)[0, 0, 0].tolist() == [3, 3, 3, 2, 1, 0, 0, 0, 0]


def test_a_soft_mask_has_the_distance_of_its_level_sets_summed():
    """A pixel of 0.6 inside of a ring of 0.2: eroded once, 0.2 of it is left."""
    mask = torch.zeros(5, 5)
    mask[1:4, 1:4] = 0.2
    mask[2, 2] = 0.6
    distance = soft_distance(mask[None, None])[0, 0]
    torch.testing.assert_close(distance[2], torch.tensor([0, 0.2, 0.8, 0.2, 0]))
