"""Where the wrong pixels of a mask lie, and which of them refining mended or made."""

from __future__ import annotations

import cv2
import numpy as np

from ..structures.stages import IGNORE_LABEL
from .boundary_iou import WIDTH

KINDS = ('false_positive', 'false_negative')
PLACES = ('near', 'far')
COUNTS = ('coarse', 'mended', 'made', 'refined')


def error_places(truth: np.ndarray, coarse: np.ndarray, refined: np.ndarray, width: float = WIDTH) -> dict[str, int]:
    """Count the wrong pixels of both stages, near the outline of the lesion and far from it.

    Near is the band of `boundary_iou` on both sides of the true outline: what lies within d of it, counted in steps to
    any of the eight neighbours, where d is 2 % of the diagonal of the image. Where there is no lesion all is far.

    Args:
        truth (np.ndarray): (H, W) labels: 0 background, k + 1 class k, 255 for pixels that do not count.
        coarse (np.ndarray): (H, W) labels.
        refined (np.ndarray): (H, W) labels.
        width (float): d as a share of the diagonal. Defaults to 0.02.

    Returns:
        dict[str, int]: ``{kind}/{place}/{count}`` in pixels: 'false_positive' is background taken for a lesion,
        'false_negative' a lesion that was missed or taken for another class; 'near' or 'far'; 'coarse' and 'refined'
        are the wrong pixels of the stages, 'mended' those that only the coarse stage had wrong, 'made' those that only
        the refined one has. Also ``lesion``, the pixels of the true lesion.

    Raises:
        ValueError: If the shapes differ.
    """
    if not truth.shape == coarse.shape == refined.shape:
        raise ValueError(
            f'the ground truth has the shape {truth.shape}, the coarse mask {coarse.shape} and the refined one '
            f'{refined.shape}, expected the same three times'
        )
    counted = truth != IGNORE_LABEL
    lesion = (truth > 0) & counted
    near = _band(lesion, max(round(width * float(np.hypot(*truth.shape))), 1))
    before, after = (counted & (mask != truth) for mask in (coarse, refined))
    wrong = dict(coarse=before, mended=before & ~after, made=after & ~before, refined=after)
    kinds = dict(zip(KINDS, (~lesion, lesion)))
    places = dict(zip(PLACES, (near, ~near)))
    counts = {
        f'{kind}/{place}/{count}': int(np.count_nonzero(wrong[count] & kinds[kind] & places[place]))
        for kind in KINDS
        for place in PLACES
        for count in COUNTS
    }
    return dict(lesion=int(np.count_nonzero(lesion)), **counts)


def _band(mask: np.ndarray, distance: int) -> np.ndarray:
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    pixels = mask.astype(np.uint8)
    # Beyond the border of the image is nothing, neither lesion nor background: a cut lesion has no outline there.
    return cv2.dilate(pixels, square).astype(bool) & ~cv2.erode(pixels, square).astype(bool)
