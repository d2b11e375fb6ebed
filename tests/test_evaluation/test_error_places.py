"""Wrong pixels are counted by kind, place and what refining did to them."""

import numpy as np
import pytest

from ultrarefiner.evaluation.error_places import error_places


@pytest.fixture
def masks():
    """A lesion of 20 x 20 pixels in 100 x 100; 2 % of the diagonal are 3 pixels."""
    truth = np.zeros((100, 100), np.uint8)
    truth[40:60, 40:60] = 1
    return truth, truth.copy(), truth.copy()


def wrong(counts):
    return {key: value for key, value in counts.items() if value and key != 'lesion'}


def test_perfect_masks_have_no_errors(masks):
    counts = error_places(*masks)
    assert counts['lesion'] == 400 and wrong(counts) == {}


def test_places_part_three_pixels_from_the_outline(masks):
    truth, coarse, refined = masks
    coarse[50, 60:64] = refined[50, 60:64] = 1  # three pixels of the band outside, one beyond
    coarse[45, 40:44] = refined[45, 40:44] = 0  # three pixels of the band inside, one deeper
    counts = error_places(truth, coarse, refined)
    for kind in ('false_positive', 'false_negative'):
        assert [counts[f'{kind}/near/{stage}'] for stage in ('coarse', 'mended', 'made', 'refined')] == [3, 0, 0, 3]
        assert [counts[f'{kind}/far/{stage}'] for stage in ('coarse', 'mended', 'made', 'refined')] == [1, 0, 0, 1]


def test_mended_and_made_lead_from_coarse_to_refined(masks):
    truth, coarse, refined = masks
    coarse[0, :5] = 1
    refined[0, 3:10] = 1
    counts = error_places(truth, coarse, refined)
    assert [counts[f'false_positive/far/{what}'] for what in ('coarse', 'mended', 'made', 'refined')] == [5, 3, 5, 7]


def test_everything_is_far_without_a_lesion():
    truth = np.zeros((20, 20), np.uint8)
    counts = error_places(truth, 1 - truth, truth)
    assert wrong(counts) == {'false_positive/far/coarse': 400, 'false_positive/far/mended': 400}


def test_pixels_that_do_not_count_are_no_error(masks):
    truth, coarse, refined = masks
    truth[:10] = 255
    coarse[:10] = 1
    assert wrong(error_places(truth, coarse, refined)) == {}


def test_another_class_is_a_false_negative(masks):
    truth, coarse, refined = masks
    coarse[50, 50] = 2
    assert wrong(error_places(truth, coarse, refined)) == {
        'false_negative/far/coarse': 1,
        'false_negative/far/mended': 1,
    }


def test_a_lesion_at_the_border_has_no_outline_there():
    truth = np.zeros((100, 100), np.uint8)
    truth[:, :20] = 1
    coarse = truth.copy()
    coarse[50, 0] = 0
    assert wrong(error_places(truth, coarse, truth))['false_negative/far/coarse'] == 1


def test_shapes_must_agree(masks):
    with pytest.raises(ValueError, match='refined one'):
        error_places(masks[0], masks[1], masks[2][:50])
