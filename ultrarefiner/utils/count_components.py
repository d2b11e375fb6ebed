"""How many pieces a mask is in."""

import numpy as np
from scipy import ndimage

TOUCHING = np.ones((3, 3))


def count_components(mask: np.ndarray) -> int:
    """The number of connected components of a mask (H, W) bool; pixels that share a corner are connected."""
    return ndimage.label(mask, structure=TOUCHING)[1]
