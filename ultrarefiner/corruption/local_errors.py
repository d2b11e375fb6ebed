"""Errors at one place of a lesion: a part missing, holes, an adhesion, a break.

As in `boundary_errors`, a function takes a mask (H, W) bool that is not empty, a severity in [0, 1] and a generator,
and raises `UnreachableError` where it cannot keep what it promises. Lengths in radii are the prior art's pixels at
224 pixel images over 32, the median equivalent radius of the lesions of BUSI and BUS-BRA at that size.
"""

from __future__ import annotations

import numpy as np

from .geometry import (
    Lesion,
    UnreachableError,
    area_of,
    bounds,
    count_components,
    count_holes,
    ellipse_metric,
    highest,
    pick_lesion,
    signed_distance,
)

TRIES = 8


def missing_chunk(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One lesion without 5 to 30 % of its area: in 6 of 10 cases a wedge, else an ellipse at the outline.

    The wedge opens by 30 to 90 degrees, and its tip lies where the cut has just that area.
    """
    lesion = pick_lesion(mask, rng)
    wedge, angle = rng.random() < 0.6, rng.uniform(0, 2 * np.pi)
    half_opening = np.deg2rad(rng.uniform(30, 90)) / 2
    aspect, tilt = np.exp(rng.uniform(-np.log(2), np.log(2))), rng.uniform(0, np.pi)
    window = bounds(lesion.mask)
    y, x = lesion.frame_in(window)
    if wedge:
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        # How far out the tip of a wedge along the axis may lie for the wedge to hold the pixel.
        score = along - np.abs(across) / np.tan(half_opening)
    else:
        score = -ellipse_metric((y, x), lesion.boundary_point(angle), aspect, tilt)
    cut = area_of(0.05 + 0.25 * severity, lesion.area)
    if cut >= lesion.area:
        raise UnreachableError(f'a lesion of {lesion.area} pixel(s) has no part that could be missing')
    result = mask.copy()
    result[window] &= ~highest(score, cut, lesion.mask[window])
    return result


def internal_holes(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One lesion with 1 to 3 holes more, each 2 to 20 % of its area; fewer where there is no room for all."""
    lesion = pick_lesion(mask, rng)
    wanted = int(rng.integers(1, 4))
    share = 0.02 * 10**severity
    places = rng.uniform(-2, 2, (3, 64, 2))
    aspects, angles = np.exp(rng.uniform(-np.log(2), np.log(2), 3)), rng.uniform(0, np.pi, 3)
    before = count_holes(mask)
    for count in range(wanted, 0, -1):
        holes = _place_holes(lesion, area_of(share, lesion.area), places[:count], aspects, angles)
        if count_holes(mask & ~holes) == before + count and count_components(mask & ~holes) == count_components(mask):
            return mask & ~holes
    raise UnreachableError(f'no room for a hole of {share:.0%} in a lesion of {lesion.area} pixels')


def bridge(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A strip outwards from one lesion, 0.31 to 1.84 radii long and 0.06 to 0.19 wide; half of them end in a disc.

    The disc's radius is 0.16 to 0.59 radii. Adds no component; at least half of the strip lies outside of the mask and
    in the image.
    """
    lesion = pick_lesion(mask, rng)
    length = 0.31 * (1.84 / 0.31) ** severity
    # Narrower than a pixel and a half, the strip would fall apart.
    half_width = max(rng.uniform(0.06, 0.19), 1.5 / lesion.radius) / 2
    disc = rng.uniform(0.16, 0.59) if rng.random() < 0.5 else 0.0
    before = count_components(mask)
    for angle, bend in zip(rng.uniform(0, 2 * np.pi, TRIES), rng.uniform(-np.pi / 4, np.pi / 4, TRIES)):
        outwards = np.array([np.sin(angle), np.cos(angle)])
        direction = np.array([np.sin(angle + bend), np.cos(angle + bend)])
        edge = np.array(lesion.boundary_point(angle))
        strip = _strip(lesion, edge - half_width * outwards, direction, length + half_width, half_width)
        added = np.count_nonzero(strip & ~mask)
        if disc:
            strip |= ellipse_metric(lesion.frame, tuple(edge + length * direction), 1.0, 0.0) <= disc
        enough = added >= 0.5 * length * 2 * half_width * lesion.radius**2
        if enough and count_components(mask | strip) <= before:
            return mask | strip
    raise UnreachableError(f'no room for a strip of {length:.2f} radii')


def fragmentation(mask: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One lesion cut into pieces by 1 to 5 straight cuts near its centre, 0.06 to 0.25 radii wide.

    In 3 of 10 cases its pieces lose a rim of 0.03 radii. There are more components than before, and at least 40 % of
    the lesion is left.
    """
    lesion = pick_lesion(mask, rng)
    count = 1 + int(round(4 * severity))
    # Together the cuts take about half of a disc at most; less than 1.5 pixels would not part 8-connected pixels.
    width = max(min(0.06 + 0.19 * severity, 0.8 / count), 1.5 / lesion.radius)
    eroded = rng.random() < 0.3
    angles, offsets = rng.uniform(0, np.pi, (TRIES, 5)), rng.uniform(-0.4, 0.4, (TRIES, 5))
    before = count_components(mask)
    y, x = lesion.frame
    for line_angles, line_offsets in zip(angles[:, :count], offsets[:, :count]):
        pieces = lesion.mask.copy()
        for angle, offset in zip(line_angles, line_offsets):
            pieces &= np.abs(x * np.cos(angle) + y * np.sin(angle) - offset) > width / 2
        if eroded:
            pieces &= signed_distance(pieces) > 0.03 * lesion.radius
        broken = (mask & ~lesion.mask) | pieces
        if count_components(broken) > before and np.count_nonzero(pieces) >= 0.4 * lesion.area:
            return broken
    raise UnreachableError(f'{count} cut(s) of {width:.2f} radii do not leave pieces of a lesion of {lesion.area} px')


def _place_holes(lesion: Lesion, area: int, places: np.ndarray, aspects: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Holes one after the other, each at the first place that has room, else where there is most of it."""
    window = bounds(lesion.mask)
    y, x = lesion.frame_in(window)
    origin = np.array([window[0].start, window[1].start])
    # A hole at the image's border would be none: beyond the border counts as background.
    depth = signed_distance(np.pad(lesion.mask[window], 1))[1:-1, 1:-1]
    rim = max(1.0, 0.06 * lesion.radius)
    free = depth > rim
    holes = np.zeros_like(lesion.mask)
    for candidates, aspect, angle in zip(places, aspects, angles):
        room = signed_distance(np.pad(free, 1))[1:-1, 1:-1]
        pixels = np.floor(candidates.T * lesion.radius + np.array(lesion.centre)[:, None]).astype(int)
        rows, columns = pixels - origin[:, None]
        inside = (rows >= 0) & (columns >= 0) & (rows < free.shape[0]) & (columns < free.shape[1])
        rows, columns = rows[inside], columns[inside]
        roomy = np.flatnonzero(room[rows, columns] >= np.sqrt(area / np.pi * max(aspect, 1 / aspect)))
        pixel = (rows[roomy[0]], columns[roomy[0]]) if len(roomy) else np.unravel_index(room.argmax(), room.shape)
        if np.count_nonzero(free) < area:
            break
        hole = highest(-ellipse_metric((y, x), (y[pixel[0], 0], x[0, pixel[1]]), aspect, angle), area, free)
        holes[window] |= hole
        free &= signed_distance(hole) < -rim
    return holes


def _strip(lesion: Lesion, start: np.ndarray, direction: np.ndarray, length: float, half_width: float) -> np.ndarray:
    """The pixels within ``half_width`` of a segment, all in radii from the lesion's centroid."""
    dy, dx = lesion.frame[0] - start[0], lesion.frame[1] - start[1]
    along = np.clip(dx * direction[1] + dy * direction[0], 0, length)
    return np.hypot(dx - along * direction[1], dy - along * direction[0]) <= half_width
