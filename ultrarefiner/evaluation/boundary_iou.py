"""IoU of the bands along the outlines of two masks."""

from __future__ import annotations

import cv2
import numpy as np

from .mask_pair import crop_to_union, cut_to_counted

WIDTH = 0.02


def boundary_iou(
    prediction: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None, width: float = WIDTH
) -> float:
    """The Boundary IoU of a predicted mask with the true one, for one image and one class.

    The band of a mask is its pixels within d of its outline: the mask less its erosion by d, where d is 2 % of the
    diagonal of the image, in whole pixels and at least 1 (Cheng et al. 2021, Boundary IoU, CVPR). As in the authors'
    program the erosion is d times that by a 3 x 3 square, and takes what lies beyond the border of the image for
    background, so that a mask cut by the border has a band there.

    Both masks empty: 1; one empty: 0.

    Args:
        prediction (np.ndarray): (H, W) bool.
        truth (np.ndarray): (H, W) bool.
        counted (np.ndarray, optional): (H, W) bool, False where a pixel does not count: both masks are cut there.
        width (float): d as a share of the diagonal of the image. Defaults to 0.02.

    Returns:
        float: In [0, 1]; larger is better.

    Raises:
        ValueError: If the shapes differ.
    """
    prediction, truth = cut_to_counted(prediction, truth, counted)
    if not prediction.any() and not truth.any():
        return 1.0
    distance = max(round(width * float(np.hypot(*truth.shape))), 1)
    band, true_band = (_band(mask, distance) for mask in crop_to_union(prediction, truth))
    return float(np.count_nonzero(band & true_band) / np.count_nonzero(band | true_band))


def _band(mask: np.ndarray, distance: int) -> np.ndarray:
    # Squares add up: one erosion by the large one is that many by the 3 x 3 one.
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    core = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (core == 0)
