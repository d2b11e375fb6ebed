"""Geometry of masks: components, distances, smooth random fields, and picking exactly so many pixels.

Frame: continuous pixels, (y, x), where pixel i covers [i, i + 1]. Lengths are in *radii*, the equivalent radius
sqrt(area / pi) of a lesion, unless they say pixels. Nothing is drawn per pixel, so the same random numbers give the
same shape at every image size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

WAVES = 32  # Enough for a nearly Gaussian field.


class UnreachableError(ValueError):
    """An error type cannot keep what it promises on this mask, such as a hole in a lesion of one pixel."""


@dataclass(frozen=True)
class Lesion:
    """A connected mask with its own frame: the origin is the centroid, the unit the equivalent radius.

    Args:
        mask (np.ndarray): (H, W) bool, not empty.
    """

    mask: np.ndarray

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def radius(self) -> float:
        """Equivalent radius sqrt(area / pi) in pixels."""
        return equivalent_radius(self.mask)

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Centroid (y, x) in pixels."""
        height, width = self.mask.shape
        y = np.arange(height) @ np.count_nonzero(self.mask, axis=1) / self.area
        x = np.arange(width) @ np.count_nonzero(self.mask, axis=0) / self.area
        return float(y) + 0.5, float(x) + 0.5

    @cached_property
    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates y (H, 1) and x (1, W) of the pixel centres, in radii from the centroid."""
        height, width = self.mask.shape
        y = (np.arange(height)[:, None] + 0.5 - self.centre[0]) / self.radius
        x = (np.arange(width)[None] + 0.5 - self.centre[1]) / self.radius
        return y.astype(np.float32), x.astype(np.float32)

    def frame_in(self, window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """The part of the frame that a window of the image has."""
        return self.frame[0][window[0]], self.frame[1][:, window[1]]

    def boundary_point(self, angle: float) -> tuple[float, float]:
        """The outermost point (y, x), in radii, in a direction from the centroid.

        Where the ray misses the lesion (a concave one), it is the point that reaches farthest in that direction.
        """
        direction = np.array([np.sin(angle), np.cos(angle)])
        steps = np.arange(0, np.hypot(*self.mask.shape), 0.25)
        along = np.array(self.centre)[:, None] + direction[:, None] * steps
        rows, columns = np.floor(along).astype(int)
        seen = (rows >= 0) & (columns >= 0) & (rows < self.mask.shape[0]) & (columns < self.mask.shape[1])
        hits = np.flatnonzero(self.mask[rows[seen], columns[seen]])
        if len(hits):
            return tuple(direction * steps[hits[-1]] / self.radius)
        points = np.argwhere(self.mask) + 0.5 - self.centre
        return tuple(points[(points @ direction).argmax()] / self.radius)


def equivalent_radius(mask: np.ndarray) -> float:
    """Radius in pixels of the disc that has the mask's area."""
    return float(np.sqrt(np.count_nonzero(mask) / np.pi))


def components(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected components, each (H, W) bool, in the order of their first pixels."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [labels == label for label in range(1, count)]


def count_components(mask: np.ndarray, min_area: float = 1) -> int:
    """Number of 8-connected components with at least ``min_area`` pixels."""
    if min_area <= 1:  # Without their areas it takes a tenth of the time.
        part = np.pad(mask[bounds(mask)], 1)
        return cv2.connectedComponents(part.view(np.uint8), connectivity=8)[0] - 1
    areas = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return int((areas >= min_area).sum())


def count_holes(mask: np.ndarray, min_area: float = 1) -> int:
    """Number of 4-connected parts of the background that do not touch the image's border."""
    if min_area <= 1:
        # All parts that touch the border are one with a ring around the mask.
        background = np.pad(~mask[bounds(mask)], 1, constant_values=True)
        return cv2.connectedComponents(background.view(np.uint8), connectivity=4)[0] - 2
    stats = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)[2][1:]
    left, top, width, height, area = stats.T
    inside = (left > 0) & (top > 0) & (left + width < mask.shape[1]) & (top + height < mask.shape[0])
    return int((inside & (area >= min_area)).sum())


def pick_lesion(mask: np.ndarray, rng: np.random.Generator) -> Lesion:
    """One of the mask's components, the larger the more probable."""
    parts = components(mask)
    areas = np.array([np.count_nonzero(part) for part in parts])
    index = int(np.searchsorted(areas.cumsum() / areas.sum(), rng.random(), side='right'))
    return Lesion(parts[min(index, len(parts) - 1)])


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the mask's outline in pixels, (H, W) float32, positive inside.

    The outline runs between two pixels, half a pixel from each of their centres. What lies beyond the image's border
    is unknown and no outline. Without an outline the distance is the image's diagonal.
    """
    diagonal = np.float32(np.hypot(*mask.shape))
    if mask.all() or not mask.any():
        return np.full(mask.shape, diagonal if mask.any() else -diagonal, dtype=np.float32)
    distance = 0.5 - distance_to(mask)
    window = bounds(mask, margin=1)
    np.copyto(distance[window], distance_to(~mask[window]) - 0.5, where=mask[window])
    return distance


def distance_to(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels from each pixel's centre to the nearest one of the mask, (H, W) float32."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The last bit of OpenCV's result depends on where the array lies in memory; squares of distances are whole numbers.
    return np.sqrt(np.rint(distance * distance))


def bounds(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """The smallest window that holds a mask, and ``margin`` pixels around it where the image has them.

    That of an empty mask, with no margin, has no pixel.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    rows = slice(max(top - margin, 0), top + height + margin)
    return rows, slice(max(left - margin, 0), left + width + margin)


def lesion_distance(mask: np.ndarray) -> np.ndarray:
    """Signed distance (H, W) float32 in radii of the component that is nearest in its own radii.

    A threshold on it grows or shrinks a small lesion as much, relative to its size, as a large one.
    """
    return np.maximum.reduce([signed_distance(part) / equivalent_radius(part) for part in components(mask)])


def random_field(
    frame: tuple[np.ndarray, np.ndarray], length: float, rng: np.random.Generator, waves: int = WAVES
) -> np.ndarray:
    """A smooth random field of mean 0 and variance 1 whose autocorrelation is exp(-d^2 / (2 length^2)).

    A sum of plane waves with normally distributed frequencies (Rahimi and Recht 2007, Random features for large-scale
    kernel machines): the power spectrum is proportional to exp(-2 pi^2 length^2 k^2), k in cycles.

    Args:
        frame (tuple[np.ndarray, np.ndarray]): y (H, 1) and x (1, W).
        length (float): Correlation length, in the unit of the frame.
        rng (np.random.Generator): Draws 3 numbers a wave, whatever the image's size.
        waves (int): Number of plane waves.

    Returns:
        np.ndarray: (H, W) float32.
    """
    return RandomField.draw(length, rng, waves).on(frame)


@dataclass(frozen=True)
class RandomField:
    """A field that `random_field` draws, before it is looked at anywhere.

    Args:
        frequencies (np.ndarray): (2, waves) along y and x, in radians over the unit of the frame.
        phases (np.ndarray): (waves, ) in radians.
    """

    frequencies: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, length: float, rng: np.random.Generator, waves: int = WAVES) -> RandomField:
        """Draw a field; see `random_field`."""
        return cls(rng.normal(scale=1 / length, size=(2, waves)), rng.uniform(0, 2 * np.pi, waves))

    @property
    def highest(self) -> float:
        """What it cannot exceed: all waves at their crest."""
        return float(np.sqrt(2 * len(self.phases)))

    def on(self, frame: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The field (H, W) float32 on a frame, y (H, 1) and x (1, W)."""
        y, x = frame
        # cos(a + b) is the real part of a product, so that the sum over waves is one matrix product.
        left = np.exp(1j * (y * self.frequencies[0] + self.phases)).astype(np.complex64)
        right = np.exp(1j * x.T * self.frequencies[1]).astype(np.complex64)
        return np.sqrt(2 / len(self.phases)).astype(np.float32) * (left @ right.T).real


def highest(score: np.ndarray, count: int, within: np.ndarray) -> np.ndarray:
    """The ``count`` pixels of ``within`` with the highest scores, (H, W) bool; all of them if there are fewer."""
    places = np.flatnonzero(within)
    chosen = np.zeros(score.size, dtype=bool)
    if count >= len(places):
        chosen[places] = True
    elif count > 0:
        values = score.ravel()[places]
        lowest = np.partition(values, len(values) - count)[len(values) - count]
        enough = values >= lowest
        if np.count_nonzero(enough) > count:  # Some are equal: not all of them are wanted.
            enough = np.argpartition(values, len(values) - count)[len(values) - count :]
        chosen[places[enough]] = True
    return chosen.reshape(score.shape)


def ellipse_metric(
    frame: tuple[np.ndarray, np.ndarray], centre: tuple[float, float], aspect: float, angle: float
) -> np.ndarray:
    """Distance from a centre, (H, W), whose level sets are ellipses: level s encloses the area pi s^2.

    Args:
        frame (tuple[np.ndarray, np.ndarray]): y (H, 1) and x (1, W).
        centre (tuple[float, float]): (y, x).
        aspect (float): Ratio of the axis along ``angle`` to the other.
        angle (float): Radians from the x axis.
    """
    dy, dx = frame[0] - centre[0], frame[1] - centre[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return np.hypot(along / np.sqrt(aspect), across * np.sqrt(aspect))


def area_of(share: float, whole: int) -> int:
    """A share of an area in whole pixels, at least one."""
    return max(int(round(share * whole)), 1)
