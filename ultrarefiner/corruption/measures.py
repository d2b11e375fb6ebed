"""What is wrong with a mask, in numbers that do not depend on the image's size."""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import count_components, count_holes, distance_to, equivalent_radius

SMALLEST = 0.001  # Share of the true area below which a component or hole is not counted.
QUANTITIES = (
    'dice',
    'area_ratio',
    'components',
    'false_positives',
    'holes',
    'boundary_distance',
    'softness',
)


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two masks (H, W) bool; 1 where both are empty."""
    total = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / total if total else 1.0


def measure(probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compare a soft mask with the true one.

    Args:
        probability (np.ndarray): (H, W) in [0, 1]; the mask is where it is above 0.5.
        truth (np.ndarray): (H, W) bool, not empty.

    Returns:
        dict[str, float]: ``dice``; ``area_ratio`` of mask to truth; ``components``, ``false_positives`` (components
        that do not touch the truth) and ``holes`` in the mask, each of at least 0.1 % of the true area;
        ``boundary_distance``, the mean symmetric distance between the outlines in equivalent radii of the truth;
        ``softness``, the area with a probability from 0.25 to 0.75 over the mask's. The last two are NaN for an empty
        mask.
    """
    mask = probability > 0.5
    area, mask_area = np.count_nonzero(truth), np.count_nonzero(mask)
    smallest = SMALLEST * area
    uncertain = np.count_nonzero((probability > 0.25) & (probability < 0.75))
    return dict(
        dice=dice(mask, truth),
        area_ratio=mask_area / area,
        components=count_components(mask, smallest),
        false_positives=_false_positives(mask, truth, smallest),
        holes=count_holes(mask, smallest),
        boundary_distance=_outline_distance(mask, truth) / equivalent_radius(truth) if mask_area else np.nan,
        softness=uncertain / mask_area if mask_area else np.nan,
    )


def _false_positives(mask: np.ndarray, truth: np.ndarray, min_area: float) -> int:
    """Number of components of at least ``min_area`` pixels that do not touch the truth."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    large = np.bincount(labels.ravel(), minlength=count) >= min_area
    touching = np.bincount(labels[truth], minlength=count) > 0
    return int((large & ~touching)[1:].sum())


def _outline_distance(mask: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in pixels from the outline of each mask to that of the other."""
    outlines = [one & ~cv2.erode(one.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) for one in (mask, truth)]
    if not all(outline.any() for outline in outlines):
        return 0.0 if not any(outline.any() for outline in outlines) else float(np.hypot(*mask.shape))
    first, second = outlines
    return float(np.concatenate([distance_to(second)[first], distance_to(first)[second]]).mean())
