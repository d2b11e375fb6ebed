"""Small errors that come on top of another: a rough outline, a flickering threshold.

They keep the mask's area to the pixel and its numbers of components and holes, so that what the first error promised
still holds; where they cannot, the mask stays as it is.
"""

from __future__ import annotations

import numpy as np

from .geometry import Lesion, RandomField, bounds, count_components, count_holes, highest, signed_distance


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
    rough = _highest_near(mask, unit, amplitude, RandomField.draw(length, rng))
    same = count_components(rough) == count_components(mask) and count_holes(rough) == count_holes(mask)
    return rough if same else mask


def _highest_near(mask: np.ndarray, unit: float, amplitude: float, field: RandomField) -> np.ndarray:
    """The pixels of highest distance plus field, as many as the mask has, looking only where there can be any."""
    lesion = Lesion(mask)
    scale = lesion.radius / unit
    reach = amplitude * field.highest
    for margin in (int(1.25 * reach * unit) + 3, max(mask.shape)):
        window = bounds(mask, margin)
        y, x = lesion.frame_in(window)
        near = mask[window]
        score = signed_distance(near) / unit + amplitude * field.on((y * scale, x * scale))
        chosen = highest(score, lesion.area, np.ones_like(near))
        # Farther off no score is higher than this.
        if score[chosen].min() > reach - margin / unit:
            break
    rough = np.zeros_like(mask)
    rough[window] = chosen
    return rough


SECONDARY_ERRORS = (boundary_jitter, threshold_fluctuation)
