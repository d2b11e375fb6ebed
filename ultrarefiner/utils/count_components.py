"""How many pieces a mask is in."""

import cv2
import numpy as np


def count_components(mask: np.ndarray) -> int:
    """The number of connected components of a mask (H, W) bool; pixels that share a corner are connected."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
