"""A binary mask made soft, as a network's probabilities are."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from .geometry import signed_distance


def soften(mask: np.ndarray, temperature: float) -> np.ndarray:
    """sigmoid(d / temperature) of the signed distance d to the outline.

    Above 0.5 exactly where the mask is. Everywhere 0 for an empty mask and 1 for a full one.

    Args:
        mask (np.ndarray): (H, W) bool.
        temperature (float): Pixels, above 0.

    Returns:
        np.ndarray: (H, W) float32 in [0, 1].
    """
    if mask.all() or not mask.any():
        return mask.astype(np.float32)
    return expit(signed_distance(mask) / np.float32(temperature))
