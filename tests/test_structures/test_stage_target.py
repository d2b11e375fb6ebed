"""StageTarget: ground truth of images of different sizes, at one size."""

import math

import pytest
import torch

from ultrarefiner.structures import StageTarget


def test_classes_become_slots_and_ignored_pixels_lose_their_weight():
    label = torch.tensor([[0, 1], [2, 255]])
    mask, weight = StageTarget([label], num_slots=2).at((2, 2))
    assert mask[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 0]]]
    assert weight[0, 0].tolist() == [[1, 1], [1, 0]]


def test_every_image_fills_the_size_asked_for():
    labels = [torch.ones(4, 8, dtype=torch.long), torch.zeros(30, 10, dtype=torch.long)]
    mask, _ = StageTarget(labels, num_slots=1).at((6, 6))
    assert mask.mean(dim=(1, 2, 3)).tolist() == [1, 0]


def test_halving_keeps_a_half_plane_exactly():
    label = torch.zeros(8, 8, dtype=torch.long)
    label[:, 4:] = 1
    mask, _ = StageTarget([label], num_slots=1).at((4, 4))
    assert mask[0, 0, 0].tolist() == [0, 0, 1, 1]


def test_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match=r'labels \[0, 7\], expected 0 to 1 and 255'):
        StageTarget([torch.tensor([[0, 7]])], num_slots=1)


def test_the_signed_distance_counts_from_the_border_between_the_pixels():
    label = torch.zeros(3, 8, dtype=torch.long)
    label[:, 5:] = 1
    distance = StageTarget([label], num_slots=1).signed_distance((3, 8)) * math.hypot(3, 8)
    for row in distance[0, 0].tolist():
        assert row == pytest.approx([4.5, 3.5, 2.5, 1.5, 0.5, -0.5, -1.5, -2.5], abs=1e-5)


def test_each_class_has_a_border_of_its_own_and_one_that_is_absent_is_a_diagonal_away():
    label = torch.tensor([[1, 1, 255, 0]])
    target = StageTarget([label, torch.full((1, 4), 2)], num_slots=2)
    distance = target.signed_distance((1, 4)) * math.hypot(1, 4)
    assert distance[0, 0, 0].tolist() == pytest.approx([-1.5, -0.5, 0.5, 1.5])
    assert (distance[0, 1] / math.hypot(1, 4)).tolist() == [[1] * 4]
    assert (distance[1] / math.hypot(1, 4)).tolist() == [[[1] * 4], [[-1] * 4]]


def test_distances_are_computed_once_a_size():
    target = StageTarget([torch.eye(6, dtype=torch.long)], num_slots=1)
    assert target.signed_distance((6, 6)) is target.signed_distance((6, 6))
    assert target.signed_distance((12, 6)).shape == (1, 1, 12, 6)
