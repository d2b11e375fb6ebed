"""Small errors that come on top of another: a rough outline, a flickering threshold.

They keep the mask's area to the pixel and its numbers of components and holes, so that what the first error promised
still holds; where they cannot, the mask stays as it is.
"""

from __future__ import annotations

import numpy as np

from .geometry import Lesion, count_components, count_holes, highest, random_field, signed_distance


def boundary_jitter(mask: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Move the outline in and out by 0.03 to 0.16 radii, along stretches of a quarter of a radius.

    Args:
        mask (np.ndarray): (H, W) bool, not empty.
        unit (float): Radius of the true lesion in pixels.
        rng (np.random.Generator): Decides where and how much.

    Returns:
        np.ndarray: (H, W) bool.
    """
    return _roughen(mask, unit, rng.uniform(0.03, 0.16), 0.25, rng)


def threshold_fluctuation(mask: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Move the outline in and out by 0.02 radii, along stretches of 0.08 radii; see `boundary_jitter`."""
    return _roughen(mask, unit, 0.02, 0.08, rng)


def _roughen(mask: np.ndarray, unit: float, amplitude: float, length: float, rng: np.random.Generator) -> np.ndarray:
    y, x = Lesion(mask).frame
    scale = Lesion(mask).radius / unit
    field = random_field((y * scale, x * scale), length, rng)
    rough = highest(signed_distance(mask) / unit + amplitude * field, np.count_nonzero(mask), np.ones_like(mask))
    same = count_components(rough) == count_components(mask) and count_holes(rough) == count_holes(mask)
    return rough if same else mask


SECONDARY_ERRORS = (boundary_jitter, threshold_fluctuation)
