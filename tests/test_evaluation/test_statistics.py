"""Intervals, the paired test and Holm's correction against values worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from ultrarefiner.evaluation.statistics import bootstrap_interval, holm, paired_test


def width(values, groups=None, **options) -> float:
    low, high = bootstrap_interval(values, groups, **options)
    assert low <= np.mean(values) <= high
    return high - low


@pytest.fixture
def scores():
    return np.random.default_rng(1).beta(8, 2, 200)


def test_interval_of_many_images_is_the_normal_one(scores):
    error = stats.sem(scores)
    low, high = bootstrap_interval(scores)
    assert (low, high) == pytest.approx((scores.mean() - 1.96 * error, scores.mean() + 1.96 * error), abs=0.15 * error)


def test_interval_is_wider_for_fewer_images_and_for_a_higher_level(scores):
    assert width(scores[:20]) > width(scores[:60]) > width(scores)
    assert width(scores, level=0.99) > width(scores, level=0.95) > width(scores, level=0.5)


def test_interval_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.beta(8, 2, 40), resamples=499)
        inside += low <= 0.8 <= high
    assert 180 <= inside <= 198  # 95 % of 200 is 190, with a standard deviation of 3


def test_copies_of_an_image_in_one_group_tell_nothing_new(scores):
    few = scores[:20]
    copied, groups = np.repeat(few, 5), np.repeat(np.arange(20), 5)
    assert bootstrap_interval(copied, groups) == pytest.approx(bootstrap_interval(few))
    assert width(copied) < 0.6 * width(copied, groups)


def test_every_image_has_the_same_weight_whatever_its_group():
    # Three images of one patient and one of another: the mean is over images, 0.75, and not over patients, 0.5.
    low, high = bootstrap_interval([1, 1, 1, 0, 1, 1, 1, 0], ['a', 'a', 'a', 'b', 'c', 'c', 'c', 'd'])
    assert low < 0.75 < high


def test_interval_is_the_same_for_the_same_data(scores):
    assert bootstrap_interval(scores) == bootstrap_interval(scores.tolist())


def test_equal_values_have_no_width_and_one_group_has_no_interval():
    assert bootstrap_interval([0.25, 0.25, 0.25]) == (0.25, 0.25)
    assert bootstrap_interval([0.0, 0.0]) == (0.0, 0.0)
    assert np.isnan(bootstrap_interval([0.1, 0.9], ['a', 'a'])).all()


def test_paired_test_counts_all_signs_of_few_images():
    # 2 of the 8 sign combinations of 1, 2, 3 have a sum as far from 0 as 6.
    assert paired_test([1, 2, 3], [0, 0, 0]) == pytest.approx(2 / 8)
    # Sums of 3, 2, -1: 4, and as far from 0 are +-6, +-4: 4 of 8.
    assert paired_test([3, 2, 0], [0, 0, 1]) == pytest.approx(4 / 8)
    # Two groups have 4 combinations, whatever the number of their images.
    assert paired_test([1, 2, 3, 4], [0, 0, 0, 0], ['a', 'a', 'b', 'b']) == pytest.approx(2 / 4)


def test_paired_test_is_symmetric_and_needs_a_difference(scores):
    other = scores + np.random.default_rng(2).normal(0.004, 0.02, len(scores))
    assert paired_test(scores, other) == pytest.approx(paired_test(other, scores), rel=0.1)
    assert paired_test(scores, scores) == 1
    assert paired_test(scores, scores - 0.01) == pytest.approx(2 / 5000)


def test_paired_test_agrees_with_the_t_test_on_normal_differences():
    difference = np.random.default_rng(3).normal(0.3, 1, 60)
    assert paired_test(difference, np.zeros(60)) == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.02)


def test_holm_on_an_example_worked_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04, 0.13 times 5, 4, 3, 2, 1: 0.025, 0.044, 0.06, 0.08, 0.13.
    assert holm([0.04, 0.005, 0.13, 0.02, 0.011]) == pytest.approx([0.08, 0.025, 0.13, 0.06, 0.044])
    # The second, 2 * 0.011, may not be below the first, 3 * 0.01.
    assert holm([0.01, 0.011, 0.9]) == pytest.approx([0.03, 0.03, 0.9])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])


def test_holm_leaves_out_what_is_no_test():
    assert holm([np.nan, 0.02, 0.03]) == pytest.approx([np.nan, 0.04, 0.04], nan_ok=True)
    assert len(holm([])) == 0


@pytest.mark.parametrize('values', [[], [0.1, np.nan], [[0.1, 0.2]]])
def test_values_that_are_no_numbers_of_images_are_refused(values):
    with pytest.raises(ValueError, match='expected finite values, one an image'):
        bootstrap_interval(values)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='1 groups for 2 images'):
        bootstrap_interval([0.1, 0.2], ['a'])
    with pytest.raises(ValueError, match='2 and 1 values'):
        paired_test([0.1, 0.2], [0.1])
