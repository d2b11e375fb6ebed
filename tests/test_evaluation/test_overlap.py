"""The formulas equal scikit-learn's, and empty masks follow the stated policy."""

import numpy as np
import pytest
from sklearn import metrics

from ultrarefiner.evaluation import overlap
from ultrarefiner.evaluation.metric import OVERLAP

EMPTY, FULL = np.zeros((6, 7), bool), np.ones((6, 7), bool)


@pytest.mark.parametrize('seed', range(5))
def test_parity_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((2, 20, 30)) < rng.uniform(0.05, 0.9, size=(2, 1, 1))
    y_true, y_pred = truth.ravel(), prediction.ravel()
    expected = dict(
        Dice=metrics.f1_score(y_true, y_pred),
        IoU=metrics.jaccard_score(y_true, y_pred),
        Precision=metrics.precision_score(y_true, y_pred),
        Recall=metrics.recall_score(y_true, y_pred),
        Accuracy=metrics.accuracy_score(y_true, y_pred),
    )
    assert overlap(prediction, truth) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_parity_where_pixels_do_not_count(seed):
    rng = np.random.default_rng(seed)
    prediction, truth, counted = rng.random((3, 20, 30)) < 0.5
    assert overlap(prediction, truth, counted)['Dice'] == pytest.approx(
        metrics.f1_score(truth[counted], prediction[counted]), abs=1e-12
    )


def test_both_empty_is_perfect_as_in_scikit_learn():
    assert overlap(EMPTY, EMPTY) == dict.fromkeys(OVERLAP, 1.0)
    assert metrics.jaccard_score(EMPTY.ravel(), EMPTY.ravel(), zero_division=1) == 1


def test_one_empty_is_zero():
    missed, invented = overlap(EMPTY, FULL), overlap(FULL, EMPTY)
    assert missed == invented == dict.fromkeys(OVERLAP, 0.0)


def test_pixels_outside_of_what_counts_leave_a_mask_empty():
    prediction, counted = EMPTY.copy(), FULL.copy()
    prediction[0], counted[0] = True, False
    assert overlap(prediction, EMPTY, counted) == dict.fromkeys(OVERLAP, 1.0)


def test_hand_counted_masks():
    truth, prediction = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    truth[0, :6] = True  # TP 3, FP 1, FN 3, TN 13
    prediction[0, 3:6] = prediction[1, 0] = True
    assert overlap(prediction, truth) == pytest.approx(
        dict(Dice=6 / 10, IoU=3 / 7, Precision=3 / 4, Recall=3 / 6, Accuracy=16 / 20)
    )


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match='must not resize the ground truth'):
        overlap(EMPTY, np.zeros((6, 8), bool))
