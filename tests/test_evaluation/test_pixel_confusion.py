"""Pixels counted by hand."""

import numpy as np
import pytest

from ultrarefiner.evaluation.pixel_confusion import pixel_changes, pixel_confusion

TRUTH = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], dtype=np.uint8)
COARSE = np.array([[0, 1, 1, 0], [2, 1, 0, 1]], dtype=np.uint8)
REFINED = np.array([[1, 0, 1, 2], [2, 2, 2, 2]], dtype=np.uint8)


def test_rows_are_true_classes_and_ignored_pixels_do_not_count():
    assert pixel_confusion(TRUTH, COARSE, 3).tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert pixel_confusion(TRUTH, REFINED, 3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 2]]
    assert pixel_confusion(np.full((2, 2), 255), np.zeros((2, 2), int), 2).tolist() == [[0, 0], [0, 0]]


def test_what_refining_changed():
    changes = pixel_changes(TRUTH, COARSE, REFINED)
    assert changes == dict(repaired=2, spoiled=1, still_wrong=1, still_right=2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='shape'):
        pixel_confusion(TRUTH, COARSE[:1], 3)
    with pytest.raises(ValueError, match='label 2, expected 0 to 1'):
        pixel_confusion(TRUTH, REFINED, 2)
