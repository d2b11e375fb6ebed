"""Errors of the outline and of the mask as a whole: too large, too small, displaced, missing.

Every function takes a mask (H, W) bool that is not empty, a severity in [0, 1] and a generator, returns a new mask, and
raises `UnreachableError` where it cannot keep what it promises. Growing and shrinking take exactly as many pixels as
the target area asks for, in the order of a distance map; no radius is tried out.
"""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import (
    Lesion,
    UnreachableError,
    area_of,
    bounds,
    components,
    count_components,
    ellipse_metric,
    highest,
    lesion_distance,
    pick_lesion,
    random_field,
)

FULLEST = 0.95  # Share of the image that a grown mask may cover.
UNEVENNESS = (0.12, 0.03, 0.0)  # Amplitude in radii of the random field on the outline; the later ones if it breaks.


def identity(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The mask itself below severity 0.3, else its area times 1 plus or minus up to 0.12, even all around."""
    change = 0.12 * max(severity - 0.3, 0) / 0.7 * rng.choice((-1, 1))
    if change == 0:
        return mask.copy()
    distance = lesion_distance(mask) + 0.01 * random_field(Lesion(mask).frame, 0.5, rng)
    return highest(distance, area_of(1 + change, np.count_nonzero(mask)), np.ones_like(mask))


def over_segmentation(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Area times 1.2 to 3, growing outwards; in 3 of 10 cases mostly to one side. Adds no component."""
    target = _grown_area(mask, severity, 1.2, 3)
    one_sided, angle = rng.random() < 0.3, rng.uniform(0, 2 * np.pi)
    distance = lesion_distance(mask)
    if one_sided:
        y, x = Lesion(mask).frame
        facing = (x * np.cos(angle) + y * np.sin(angle)) / np.maximum(np.hypot(x, y), 1e-6)
        distance = distance * (1 + 3 * (1 - facing))
    return _grow(mask, distance, target, rng)


def giant_over_segmentation(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Area times 3 to 20, as far as the image has room; in half of the cases with 2 to 5 blobs on the outline.

    A blob has 5 to 30 % of the lesion's area. Adds no component.
    """
    target = _grown_area(mask, severity, 3, 20)
    area = np.count_nonzero(mask)
    blobs = int(rng.integers(2, 6)) if rng.random() < 0.5 else 0
    shares, angles = rng.uniform(0.05, 0.3, 5)[:blobs], rng.uniform(0, 2 * np.pi, 5)[:blobs]
    base = _grow(mask, lesion_distance(mask), max(target - int(shares.sum() * area), area), rng)
    lesion = pick_lesion(base, rng)
    with_blobs = base.copy()
    for share, angle in zip(shares, angles):
        centre = lesion.boundary_point(angle)
        with_blobs |= ellipse_metric(lesion.frame, centre, 1.0, 0.0) <= np.sqrt(share * area / np.pi) / lesion.radius
    # Half of a blob lies in the mask already, and its outer half may lie outside of the image.
    return _grow(with_blobs, lesion_distance(with_blobs), target, rng)


def under_segmentation(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Area times 0.9 to 0.4: each component loses its rim, unevenly."""
    area = np.count_nonzero(mask)
    target = area_of(0.9 * (0.4 / 0.9) ** severity, area)
    if target >= area:
        raise UnreachableError(f'a mask of {area} pixels cannot lose a part of them')
    return _innermost(mask, target, UNEVENNESS[0], rng)


def shift(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Moved by 5 to 30 % of the bounding box along each axis, at least a pixel; in half of the cases turned.

    The bounding box is the largest component's. It turns by 5 to 20 degrees. At least 70 % of the area stays in the
    image.
    """
    largest = max(components(mask), key=np.count_nonzero)
    rows, columns = np.flatnonzero(largest.any(1)), np.flatnonzero(largest.any(0))
    sides = np.array([columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1])
    size = np.maximum((0.05 + 0.25 * severity) * sides, 1)
    turn = float(rng.choice((-1, 1)) * rng.uniform(5, 20)) if rng.random() < 0.5 else 0.0
    centre_y, centre_x = Lesion(mask).centre
    area = np.count_nonzero(mask)
    for signs in rng.permutation([(1, 1), (1, -1), (-1, 1), (-1, -1)]):
        # OpenCV counts from the centre of the first pixel.
        matrix = cv2.getRotationMatrix2D((centre_x - 0.5, centre_y - 0.5), turn, 1)
        matrix[:, 2] += size * signs
        moved = cv2.warpAffine(mask.astype(np.float32), matrix, mask.shape[::-1], flags=cv2.INTER_LINEAR) > 0.5
        if np.count_nonzero(moved) >= 0.7 * area and (moved != mask).any():
            return moved
    raise UnreachableError(f'a mask of {sides[1]}x{sides[0]} pixels has no room to move by {size.round(1)}')


def empty(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Nothing from severity 0.5 on, else the innermost 5 to 1 % of the area, at least a pixel."""
    if severity >= 0.5:
        return np.zeros_like(mask)
    share = 0.05 * 0.2 ** (2 * severity)
    return _innermost(mask, area_of(share, np.count_nonzero(mask)), 0.02, rng)


def _innermost(mask: np.ndarray, count: int, unevenness: float, rng: np.random.Generator) -> np.ndarray:
    """The ``count`` pixels of the mask farthest from its outline, unevenly."""
    window = bounds(mask, margin=1)
    inside = mask[window]
    field = random_field(Lesion(mask).frame_in(window), 0.5, rng)
    left = np.zeros_like(mask)
    left[window] = highest(lesion_distance(inside) + unevenness * field, count, inside)
    return left


def _grown_area(mask: np.ndarray, severity: float, low: float, high: float) -> int:
    """The area for a growth factor between ``low`` and ``high``, or what the image has room for."""
    area = np.count_nonzero(mask)
    room = FULLEST * mask.size / area
    if room < low:
        raise UnreachableError(f'a mask that covers {area / mask.size:.0%} of the image cannot grow {low} times')
    high = min(high, room)
    return max(int(round(area * low * (high / low) ** severity)), area + 1)


def _grow(mask: np.ndarray, distance: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
    """The mask and the pixels of highest distance outside, ``target`` in all; unevenly where nothing comes loose."""
    field = random_field(Lesion(mask).frame, 0.5, rng)
    missing, before = target - np.count_nonzero(mask), count_components(mask)
    for amplitude in UNEVENNESS:
        grown = mask | highest(distance + amplitude * field, missing, ~mask)
        if count_components(grown) <= before:
            return grown
    raise UnreachableError(f'growing to {target} pixels leaves loose parts')
