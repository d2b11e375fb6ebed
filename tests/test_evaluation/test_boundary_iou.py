"""Boundary IoU by hand and by the procedure of its authors."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from ultrarefiner.evaluation import boundary_iou, overlap


def square(top, left, side, size):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def disc(size, centre, radius):
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def band_of_the_authors(mask, distance):
    """A border of one zero, then single erosions (the paper's supplement and published program, in our own words)."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    core = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask & (core == 0)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('shape, distance', [((40, 30), 1), ((150, 110), 4)])
def test_parity_with_the_procedure_of_the_authors(seed, shape, distance):
    fields = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(2, *shape)), (0, 8, 8))
    prediction, truth = fields > 0.005
    bands = [band_of_the_authors(mask, distance) for mask in (prediction, truth)]
    assert boundary_iou(prediction, truth) == pytest.approx((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def test_bands_of_one_pixel_by_hand():
    # 2 % of the diagonal of 50 x 50 is 1.4 pixels: the rings of concentric squares have no pixel in common.
    large, small = square(10, 10, 6, size=50), square(11, 11, 4, size=50)
    assert boundary_iou(small, large) == 0 and overlap(small, large)['IoU'] == 16 / 36
    # Shifted by a column, rings of 20 pixels share 5 of the upper and 5 of the lower side.
    assert boundary_iou(square(10, 11, 6, size=50), large) == 10 / 30


def test_the_width_grows_with_the_image():
    # 3 pixels of 100 x 100: a square of 10 is a band of 100 - 16 pixels, and one of 6 is band to its middle.
    assert boundary_iou(square(12, 12, 6, size=100), square(10, 10, 10, size=100)) == pytest.approx((36 - 16) / 100)


def test_the_border_of_the_image_is_a_boundary():
    whole = np.ones((50, 50), bool)
    without_a_row = whole.copy()
    without_a_row[0] = False
    # Rings of 196 and 194 pixels share the last row and the rest of two columns.
    shared = 50 + 2 * 48
    assert boundary_iou(without_a_row, whole) == shared / (196 + 194 - shared)


def test_more_error_is_worse_and_a_thin_error_of_a_large_object_shows():
    truth = disc(120, (60, 60), 40)
    values = [boundary_iou(disc(120, (60, 60 + shift), 40), truth) for shift in (0, 1, 2, 4, 8)]
    assert values[0] == 1 and values == sorted(values, reverse=True) and len(set(values)) == 5
    grown = disc(120, (60, 60), 43)
    assert boundary_iou(grown, truth) < 0.3 < 0.8 < overlap(grown, truth)['IoU']


def test_empty_masks():
    empty, truth = np.zeros((50, 50), bool), square(10, 10, 6, size=50)
    assert boundary_iou(empty, empty) == 1
    assert boundary_iou(empty, truth) == boundary_iou(truth, empty) == 0


def test_both_masks_are_cut_where_pixels_do_not_count():
    truth, prediction = square(10, 10, 6, size=50), square(10, 10, 12, size=50)
    counted = truth | ~prediction
    assert boundary_iou(prediction, truth) < 1 == boundary_iou(prediction, truth, counted)


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match='must not resize the ground truth'):
        boundary_iou(np.zeros((50, 50), bool), np.zeros((50, 51), bool))
