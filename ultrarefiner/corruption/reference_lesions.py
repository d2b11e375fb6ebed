"""Lesions of known shape, the same at every image size."""

from __future__ import annotations

import numpy as np


def reference_lesions(size: int) -> dict[str, np.ndarray]:
    """Four masks.

    Args:
        size (int): Height and width in pixels.

    Returns:
        dict[str, np.ndarray]: (size, size) bool: a 'disc', a tilted 'ellipse', a 'lobulated' lesion, and 'two' of
        different sizes.
    """
    y, x = np.mgrid[:size, :size] / size + 0.5 / size - 0.5
    angle = np.arctan2(y + 0.02, x - 0.03)
    u, v = x * np.cos(0.5) + y * np.sin(0.5), y * np.cos(0.5) - x * np.sin(0.5)
    outline = 0.17 * (1 + 0.18 * np.cos(3 * angle + 0.4) + 0.09 * np.cos(5 * angle + 1.0))
    return dict(
        disc=np.hypot(x, y) <= 0.16,
        ellipse=np.hypot(u / 0.22, v / 0.11) <= 1,
        lobulated=np.hypot(x - 0.03, y + 0.02) <= outline,
        two=(np.hypot(x - 0.16, y - 0.1) <= 0.13) | (np.hypot(x + 0.22, y + 0.16) <= 0.08),
    )
