"""StageTarget: ground truth of images of different sizes, at one size."""

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
