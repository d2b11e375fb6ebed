"""Errors away from the lesion: islands near it, noise anywhere.

As in `boundary_errors`, a function takes a mask (H, W) bool that is not empty, a severity in [0, 1] and a generator,
and raises `UnreachableError` where it cannot keep what it promises.
"""

from __future__ import annotations

import numpy as np

from .geometry import UnreachableError, area_of, ellipse_metric, equivalent_radius, highest, signed_distance

MOST = 49
TRIES = 40


def false_positive_islands(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """More components, each 0.2 to 10 % of the mask's area, in the bounding box and half its size around.

    1 to 5 in 7 of 10 cases, else 5 to 29; as many of them as there is room for, at least one.
    """
    count = 1 + round(4 * severity) if rng.random() < 0.7 else 5 + round(24 * severity)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    zone = []
    for first, last, end in ((rows[0], rows[-1] + 1, mask.shape[0]), (columns[0], columns[-1] + 1, mask.shape[1])):
        margin = (last - first) / 2
        zone.append((max(first - margin, 0), min(last + margin, end)))
    return _scatter(mask, count, (0.002, 0.1), zone, rng)


def noise_scatter(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """10 to 49 more components anywhere in the image, each 0.1 to 1 % of the mask's area; as many as have room."""
    count = 10 + round(39 * severity)
    return _scatter(mask, count, (0.001, 0.01), [(0, side) for side in mask.shape], rng)


def _scatter(
    mask: np.ndarray, count: int, shares: tuple[float, float], zone: list[tuple[float, float]], rng: np.random.Generator
) -> np.ndarray:
    """The mask and ``count`` ellipses in a zone, apart from it, from one another and from the image's border.

    The numbers of all ellipses that there could be are drawn first: a higher count only adds to the lower one.
    """
    sizes = np.exp(rng.uniform(*np.log(shares), MOST))
    aspects, angles = np.exp(rng.uniform(-np.log(1.6), np.log(1.6), MOST)), rng.uniform(0, np.pi, MOST)
    places = rng.random((MOST, TRIES, 2))
    low, high = np.array(zone).T
    area = np.count_nonzero(mask)
    gap = max(2.0, 0.05 * equivalent_radius(mask))
    outside = -signed_distance(mask)
    placed = np.empty((0, 3))  # y, x, longer half axis; pixels
    result = mask.copy()
    for index in range(count):
        pixels = area_of(sizes[index], area)
        reach = np.sqrt(pixels / np.pi * max(aspects[index], 1 / aspects[index]))
        for y, x in low + places[index] * (high - low):
            border = min(y, x, mask.shape[0] - y, mask.shape[1] - x)
            apart = np.hypot(placed[:, 0] - y, placed[:, 1] - x) >= placed[:, 2] + reach + gap
            if border >= reach + 1 and outside[int(y), int(x)] >= reach + gap and apart.all():
                _add_ellipse(result, (y, x), pixels, reach, aspects[index], angles[index])
                placed = np.vstack([placed, (y, x, reach)])
                break
    if not len(placed):
        raise UnreachableError(f'no room for an island beside a mask that covers {area / mask.size:.0%} of the image')
    return result


def _add_ellipse(
    mask: np.ndarray, centre: tuple[float, float], pixels: int, reach: float, aspect: float, angle: float
) -> None:
    """Set the ``pixels`` nearest pixels of an ellipse, looking only around it."""
    top, left = (max(int(value - reach) - 1, 0) for value in centre)
    bottom, right = (int(value + reach) + 2 for value in centre)
    window = mask[top:bottom, left:right]
    frame = np.arange(window.shape[0])[:, None] + top + 0.5, np.arange(window.shape[1])[None] + left + 0.5
    window |= highest(-ellipse_metric(frame, centre, aspect, angle), pixels, np.ones_like(window))
