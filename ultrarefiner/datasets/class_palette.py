"""Colours for any number of classes."""

from __future__ import annotations

import colorsys

FIRST_HUE, SATURATION = 0.0967, 0.83
GOLDEN_RATIO = 0.618034


def class_palette(count: int) -> list[list[int]]:
    """Black for the background, then orange, then hues a golden section apart, which stay far from one another.

    Args:
        count (int): The number of classes, with the background.

    Returns:
        list[list[int]]: RGB, 0 to 255, for each class.
    """
    hues = [(FIRST_HUE + GOLDEN_RATIO * k) % 1 for k in range(count - 1)]
    return [[0, 0, 0]] + [[round(255 * c) for c in colorsys.hsv_to_rgb(hue, SATURATION, 1)] for hue in hues]
