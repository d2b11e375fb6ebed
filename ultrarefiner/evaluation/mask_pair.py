"""What the metrics do to a pair of masks before they compare them."""

from __future__ import annotations

import numpy as np


def cut_to_counted(
    prediction: np.ndarray, truth: np.ndarray, counted: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both masks without the pixels that do not count.

    Where an outline runs through such pixels both masks end at the same line, so that nothing there tells them apart.

    Args:
        prediction (np.ndarray): (H, W) bool.
        truth (np.ndarray): (H, W) bool.
        counted (np.ndarray, optional): (H, W) bool, False where a pixel does not count.

    Returns:
        tuple[np.ndarray, np.ndarray]: The prediction and the truth, (H, W) bool.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f'the prediction has the shape {prediction.shape} and the ground truth {truth.shape}; both are needed at '
            'the original size of the image, so the test pipeline must not resize the ground truth'
        )
    return (prediction, truth) if counted is None else (prediction & counted, truth & counted)


def crop_to_union(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both masks (H, W) bool in the smallest window that holds both; at least one is not empty.

    All that is left out is background of both, so what takes the outside of an array for background, as the border of
    the image is taken everywhere here, gives the same on the window.
    """
    union = first | second
    rows, columns = np.flatnonzero(union.any(1)), np.flatnonzero(union.any(0))
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return first[window], second[window]
