"""Pixel i of L is centred at (i + 0.5) / L."""

import pytest
import torch

from ultrarefiner.utils.pixel_centres import pixel_centres


def test_centres_lie_half_a_pixel_inside():
    assert pixel_centres(4, torch.zeros(1)).tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_thousand_pixels_are_told_apart_in_every_precision(dtype):
    exact = (torch.arange(1024, dtype=torch.float64) + 0.5) / 1024
    assert torch.equal(pixel_centres(1024, torch.zeros(1, dtype=dtype)).double(), exact)
