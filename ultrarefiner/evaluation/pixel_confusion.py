"""Which pixels are taken for what, stage by stage, and what refining changed about it."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix

from ..structures.stages import IGNORE_LABEL


def pixel_confusion(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count the pixels of every true and predicted class.

    Args:
        truth (np.ndarray): (H, W) labels: 0 background, k + 1 class k, 255 for pixels that do not count.
        predicted (np.ndarray): (H, W) labels.
        num_classes (int): With the background, C.

    Returns:
        np.ndarray: (C, C) int64; row is the true class, column the predicted one.

    Raises:
        ValueError: If the shapes differ, or a prediction holds a label that is no class.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f'the ground truth has the shape {truth.shape}, the prediction {predicted.shape}')
    if predicted.max(initial=0) >= num_classes:
        raise ValueError(f'the prediction holds the label {predicted.max()}, expected 0 to {num_classes - 1}')
    counted = truth != IGNORE_LABEL
    if not counted.any():
        return np.zeros((num_classes, num_classes), dtype=np.int64)
    return confusion_matrix(truth[counted], predicted[counted], labels=np.arange(num_classes))


def pixel_changes(truth: np.ndarray, coarse: np.ndarray, refined: np.ndarray) -> dict[str, int]:
    """Count what refining did to the pixels that count.

    Args:
        truth (np.ndarray): (H, W) labels, as for `pixel_confusion`, like all that follow.
        coarse (np.ndarray): (H, W).
        refined (np.ndarray): (H, W).

    Returns:
        dict[str, int]: Pixels ``repaired`` (wrong before, right after), ``spoiled`` (right before, wrong after),
        ``still_wrong`` and ``still_right``.
    """
    counted = truth != IGNORE_LABEL
    before, after = coarse == truth, refined == truth
    masks = dict(
        repaired=~before & after, spoiled=before & ~after, still_wrong=~before & ~after, still_right=before & after
    )
    return {name: int(np.count_nonzero(mask & counted)) for name, mask in masks.items()}
