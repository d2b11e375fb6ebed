"""Overlap of two binary masks: the formulas of every table and file."""

from __future__ import annotations

import numpy as np

from .mask_pair import cut_to_counted


def overlap(prediction: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None) -> dict[str, float]:
    """Compare a predicted mask with the true one, for one image and one class.

    With TP, FP, FN, TN the pixel counts (Taha and Hanbury 2015, BMC Medical Imaging 15:29):
    Dice = 2TP / (2TP + FP + FN), IoU = TP / (TP + FP + FN), Precision = TP / (TP + FP), Recall = TP / (TP + FN),
    Accuracy = (TP + TN) / (TP + FP + FN + TN).

    Empty masks: where both are empty every value is 1, for nothing was there and nothing was found; where one is empty
    Dice, IoU, Precision and Recall are 0.

    Args:
        prediction (np.ndarray): (H, W) bool.
        truth (np.ndarray): (H, W) bool.
        counted (np.ndarray, optional): (H, W) bool, False where a pixel does not count.

    Returns:
        dict[str, float]: Each of `OVERLAP`, in [0, 1]; larger is better.

    Raises:
        ValueError: If the shapes differ.
    """
    prediction, truth = cut_to_counted(prediction, truth, counted)
    # Counting is an order of magnitude faster than summing.
    tp = int(np.count_nonzero(prediction & truth))
    fp, fn = int(np.count_nonzero(prediction)) - tp, int(np.count_nonzero(truth)) - tp
    total = truth.size if counted is None else int(np.count_nonzero(counted))
    empty = tp + fp + fn == 0  # both masks, as far as pixels count

    def ratio(part: int, whole: int) -> float:
        return part / whole if whole else float(empty)

    return dict(
        Dice=ratio(2 * tp, 2 * tp + fp + fn),
        IoU=ratio(tp, tp + fp + fn),
        Precision=ratio(tp, tp + fp),
        Recall=ratio(tp, tp + fn),
        Accuracy=ratio(total - fp - fn, total),
    )
