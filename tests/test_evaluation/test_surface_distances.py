"""HD95, ASSD and NSD by hand, against scipy's distance transforms, and with the stated rules for empty masks."""

import numpy as np
import pytest
import torch
from monai import metrics
from scipy import ndimage

from ultrarefiner.evaluation import surface_distances

EMPTY = np.zeros((30, 40), bool)


def square(top, left, side, shape=(30, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def blobs(seed, shape=(41, 53)):
    """Two smooth random masks that reach the border of the image."""
    fields = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(2, *shape)), (0, 4, 4))
    return fields[0] > 0.02, fields[1] > 0.02


def by_definition(first, second, spacing, tolerance):
    """The docstring's words, on the whole image."""
    outlines = [mask & ~ndimage.binary_erosion(mask, border_value=0) for mask in (first, second)]
    there = ndimage.distance_transform_edt(~outlines[1], sampling=spacing)[outlines[0]]
    back = ndimage.distance_transform_edt(~outlines[0], sampling=spacing)[outlines[1]]
    both = np.concatenate([there, back])
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return dict(HD95=hd95, ASSD=both.mean(), NSD=(both <= tolerance).mean())


def test_a_square_shifted_by_three_columns():
    # Of the 12 outline pixels of each, 4 are 3 columns from the other outline, 2 are 2, 2 are 1, and 4 are on it.
    scores = surface_distances(square(5, 10, 4), square(5, 13, 4))
    assert scores == pytest.approx(dict(HD95=3, ASSD=(4 * 3 + 2 * 2 + 2 * 1) / 12, NSD=8 / 12))
    assert surface_distances(square(5, 10, 4), square(5, 13, 4), tolerance=1)['NSD'] == pytest.approx(6 / 12)


def test_hd95_is_the_larger_percentile_of_the_two_directions():
    truth = EMPTY.copy()
    truth[5, 10:20] = True
    prediction = truth.copy()
    prediction[25, 10] = True  # one of 11 outline pixels is 20 pixels away, and nothing of the truth is
    scores = surface_distances(prediction, truth)
    assert scores == pytest.approx(dict(HD95=10, ASSD=20 / 21, NSD=20 / 21))  # rank 9.5 of 0 to 10: half of 20
    assert surface_distances(truth, prediction) == pytest.approx(scores)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('spacing', [(1.0, 1.0), (0.7, 0.2)])
def test_parity_with_distance_transforms_of_the_whole_image(seed, spacing):
    prediction, truth = blobs(seed)
    assert prediction[0].any() or prediction[:, 0].any()
    expected = by_definition(prediction, truth, spacing, tolerance=1.3)
    assert surface_distances(prediction, truth, spacing=spacing, tolerance=1.3) == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings('ignore:.*always_return_as_numpy')
@pytest.mark.parametrize('seed', range(2))
def test_parity_with_monai(seed):
    masks = blobs(seed)
    one_hot = [torch.from_numpy(mask)[None, None] for mask in masks]
    options = dict(include_background=True)
    expected = dict(
        HD95=float(metrics.compute_hausdorff_distance(*one_hot, percentile=95, **options)),
        ASSD=float(metrics.compute_average_surface_distance(*one_hot, symmetric=True, **options)),
        NSD=float(metrics.compute_surface_dice(*one_hot, [2.0], **options)),
    )
    assert surface_distances(*masks) == pytest.approx(expected, rel=1e-6)


def test_distances_are_symmetric_and_zero_for_equal_masks():
    prediction, truth = blobs(7)
    assert surface_distances(prediction, truth) == pytest.approx(surface_distances(truth, prediction))
    assert surface_distances(truth, truth) == dict(HD95=0, ASSD=0, NSD=1)


def test_an_empty_margin_changes_nothing_so_the_border_of_the_image_is_an_outline():
    prediction, truth = blobs(3)
    padded = surface_distances(np.pad(prediction, 9), np.pad(truth, 9))
    assert surface_distances(prediction, truth) == pytest.approx(padded)


def test_distances_scale_with_the_spacing():
    masks = square(5, 10, 4), square(9, 13, 6)
    pixels = surface_distances(*masks)
    millimetres = surface_distances(*masks, spacing=(0.25, 0.25), tolerance=0.5)
    assert millimetres == pytest.approx(dict(HD95=pixels['HD95'] / 4, ASSD=pixels['ASSD'] / 4, NSD=pixels['NSD']))
    # (height, width): a shift by columns is measured in widths.
    assert surface_distances(square(5, 10, 4), square(5, 13, 4), spacing=(9, 0.5))['HD95'] == 1.5


def test_more_error_is_never_better():
    truth = square(5, 5, 8)
    scores = [surface_distances(square(5, 5 + shift, 8), truth) for shift in (0, 1, 3, 6, 12)]
    for name, sign in (('HD95', 1), ('ASSD', 1), ('NSD', -1)):
        values = [sign * score[name] for score in scores]
        assert values == sorted(values) and values[0] < values[-1]


def test_empty_masks():
    truth = square(5, 5, 8)
    assert surface_distances(EMPTY, EMPTY) == dict(HD95=0, ASSD=0, NSD=1)
    assert surface_distances(EMPTY, truth) == surface_distances(truth, EMPTY) == dict(HD95=50, ASSD=50, NSD=0)
    assert surface_distances(EMPTY, truth, spacing=(2, 0.5))['HD95'] == pytest.approx(np.hypot(60, 20))


def test_a_missed_object_is_worse_than_any_found_one():
    truth, farthest = square(0, 0, 1), square(29, 39, 1)
    assert surface_distances(farthest, truth)['HD95'] < surface_distances(EMPTY, truth)['HD95']


def test_both_masks_are_cut_where_pixels_do_not_count():
    truth, prediction = square(5, 5, 8), square(5, 5, 8)
    prediction[5:13, 13:30] = True
    counted = np.ones_like(truth)
    counted[:, 13:] = False
    assert surface_distances(prediction, truth)['HD95'] > 10
    assert surface_distances(prediction, truth, counted) == dict(HD95=0, ASSD=0, NSD=1)
    assert surface_distances(prediction & ~counted, EMPTY, counted)['HD95'] == 0  # both empty, as far as pixels count


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match='must not resize the ground truth'):
        surface_distances(EMPTY, np.zeros((30, 41), bool))
