"""Guard calibration: a threshold that is known, nothing where nothing helps, and measures equal to the guard's own."""

import numpy as np
import pandas as pd
import pytest
import torch

from ultrarefiner.evaluation import RefinementMetric
from ultrarefiner.evaluation.guard_calibration import calibrate, fit_guards, guard_measures
from ultrarefiner.evaluation.per_image_csv import read_rows
from ultrarefiner.models.refiners.guard_measures import GUARD_MEASURES
from ultrarefiner.structures import SegOutput


def cases(count, rng):
    """Measures that say nothing, and Dice of a coarse mask that refining improves a little."""
    measures = dict(
        agreement=rng.uniform(0.2, 1, count),
        area_ratio=np.exp(rng.normal(0, 0.4, count)),
        components=rng.integers(1, 6, count).astype(float),
    )
    coarse = rng.uniform(0.6, 0.8, count)
    return measures, coarse, coarse + rng.normal(0.02, 0.03, count)


def test_a_known_threshold_is_found_with_the_gain_that_it_has():
    """Masks whose area is more than doubled lose 0.3; a perfect guard gains 0.3 on their share of the images."""
    rng = np.random.default_rng(0)
    measures, coarse, refined = cases(200, rng)
    spoilt = measures['area_ratio'] > 1.5
    refined = np.where(spoilt, coarse - 0.3, refined)
    guard = calibrate(measures, coarse, refined, range(200))
    ratios = measures['area_ratio']
    assert guard.rules.ranges.keys() == {'area_ratio'} and guard.rules.ranges['area_ratio'][0] is None
    assert guard.rules.ranges['area_ratio'][1] == pytest.approx((ratios[~spoilt].max() + ratios[spoilt].min()) / 2)
    perfect = 0.3 * spoilt.mean()
    assert 0.85 * perfect < guard.gain <= perfect
    assert guard.interval[0] < guard.gain < guard.interval[1] and guard.interval[0] > 0
    other_measures, other_coarse, other_refined = cases(4000, rng)
    other_refined = np.where(other_measures['area_ratio'] > 1.5, other_coarse - 0.3, other_refined)
    held = np.where(guard.rules.accept(other_measures), other_refined, other_coarse).mean() - other_refined.mean()
    assert guard.interval[0] < held < guard.interval[1]


@pytest.mark.parametrize('seed', range(4))
def test_where_nothing_helps_there_is_no_guard(seed):
    """On the images that it is fitted to, the best of many bounds gains always."""
    rng = np.random.default_rng(seed)
    measures, coarse, _ = cases(80, rng)
    refined = coarse + rng.normal(0.01, 0.1, 80)
    fitted = fit_guards(measures, coarse - refined)[-1]
    in_sample = np.where(fitted.accept(measures), 0, coarse - refined).mean()
    assert in_sample > 0.001
    guard = calibrate(measures, coarse, refined, range(80))
    assert guard.rules.ranges == {} and guard.gain < in_sample / 2


def test_a_bound_lies_halfway_between_two_different_values():
    measures = dict(components=np.array([1.0, 1, 2, 2, 5, 9]))
    benefit = np.array([-1.0, -1, -1, 1, 1, 1])  # One of the twos would be worth it, both are not.
    (_, guard) = fit_guards(measures, benefit)
    assert guard.ranges == dict(components=(None, 3.5))
    (_, guard) = fit_guards(dict(agreement=np.array([0.2, 0.4, 0.9])), np.array([1.0, -1, -1]))
    assert guard.ranges == dict(agreement=(pytest.approx(0.3), None))


def test_a_bound_next_to_an_infinite_ratio_is_the_last_finite_one():
    (_, guard) = fit_guards(dict(area_ratio=np.array([0.5, 2.0, np.inf])), np.array([-1.0, -1, 1]))
    assert guard.ranges == dict(area_ratio=(None, 2.0))


def test_bounds_come_in_the_order_of_what_they_add():
    measures = dict(agreement=np.array([0.1, 0.8, 0.8, 0.9]), components=np.array([1.0, 9, 1, 1]))
    guards = fit_guards(measures, np.array([2.0, 1, -1, -1]))
    assert [list(guard.ranges) for guard in guards] == [[], ['agreement'], ['agreement', 'components']]


def test_rows_of_a_group_are_never_on_both_sides():
    """Each patient has a components number of its own and four images; half of the patients are worth guarding.

    Within a patient the number gives it away, across patients it says nothing.
    """
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(40), 4)
    refined = np.where(np.isin(patients, rng.permutation(40)[:20]), 0.6, 0.8)
    measures = dict(components=patients.astype(float))
    together = calibrate(measures, np.full(160, 0.7), refined, patients)
    apart = calibrate(measures, np.full(160, 0.7), refined, range(160))
    assert together.rules.ranges == {} and together.gain < 0.01 < apart.gain


def test_the_same_data_give_the_same_guard_and_too_few_are_refused():
    measures, coarse, refined = cases(40, np.random.default_rng(1))
    assert calibrate(measures, coarse, refined, range(40)) == calibrate(measures, coarse, refined, range(40))
    with pytest.raises(ValueError, match='10 images or patients, expected at least 20'):
        calibrate(measures, coarse, refined, np.arange(40) % 10)


def test_measures_of_the_results_are_those_of_the_guard(tmp_path):
    """What is calibrated on is what the guard will see: both from the same masks, some of them empty."""
    generator = torch.Generator().manual_seed(0)
    coarse, refined = torch.rand(2, 9, 1, 12, 12, generator=generator) - torch.linspace(0.5, 1, 9).view(9, 1, 1, 1)
    quality = torch.rand(9, 1, generator=generator)
    metric = RefinementMetric(csv_path=str(tmp_path / 'per_image.csv'))
    metric.dataset_meta = dict(classes=('background', 'lesion'))
    for index in range(9):
        labels = dict(coarse_sem_seg=coarse[index] > 0, pred_sem_seg=refined[index] > 0, gt_sem_seg=coarse[0] > 0.2)
        fields = {name: dict(data=mask.long()) for name, mask in labels.items()}
        metric.process({}, [dict(fields, img_path=f'{index}.png', quality=quality[index].tolist())])
    metric.evaluate(9)
    found = guard_measures(read_rows(tmp_path / 'per_image.csv'))
    assert found.keys() == GUARD_MEASURES.keys()
    for name, measure in GUARD_MEASURES.items():
        expected = measure(coarse > 0, SegOutput(refined, quality))[:, 0]
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, err_msg=name)
    assert found['components'].max() > 5 and found['area_ratio'].min() < 1 < found['area_ratio'].max()


def test_a_measure_that_a_row_lacks_is_left_out():
    rows = pd.DataFrame({'area/coarse': [4, 0, 0], 'area/refined': [2, 0, 3], 'predicted_iou': ['0.5', '', '0.9']})
    assert {name: values.tolist() for name, values in guard_measures(rows).items()} == dict(area_ratio=[0.5, 1, np.inf])
