"""Reading a mask file to labels, every grey value accounted for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .cached_pixels import cached_pixels

VALUES_SHOWN = 10
REMEDY = 'convert the dataset again, or list the grey values in label_map of the dataset'


def read_mask(path: str | Path, label_map: dict[int, int], pixel_dir: str | Path | None = None) -> np.ndarray:
    """Read a mask and map its grey values.

    Args:
        path (str | Path): The file, one 8-bit channel.
        label_map (dict[int, int]): Grey value to label. Values that are not listed are refused, so that a mask that was
            saved as JPEG or resized smoothly never trains anything.
        pixel_dir (str | Path, optional): Folder of `cached_pixels`.

    Returns:
        np.ndarray: Labels (H, W), uint8.

    Raises:
        ValueError: If the file cannot be read, has more than one channel, or a grey value that is not in ``label_map``.
    """
    pixels = cached_pixels(pixel_dir, path, 'mask', lambda: _read_grey(path))
    # OpenCV's tables are several times as fast as numpy's indexing; its counts are floats, zero where there is none.
    present = np.flatnonzero(cv2.calcHist([pixels], [0], None, [256], [0, 256])).tolist()
    unknown = [value for value in present if value not in label_map]
    if unknown:
        counts = np.bincount(pixels.ravel(), minlength=256)
        frequent = sorted(present, key=lambda value: -counts[value])[:VALUES_SHOWN]
        histogram = {value: int(counts[value]) for value in frequent}
        raise ValueError(
            f'the mask {path} holds {len(unknown)} grey value(s) that label_map {label_map} does not list; its most '
            f'frequent values and their pixel counts: {histogram}'
        )
    labels = np.zeros(256, dtype=np.uint8)
    labels[list(label_map)] = list(label_map.values())
    return cv2.LUT(pixels, labels)


def _read_grey(path: str | Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            # A 1-bit file holds 0 and 1 in Pillow, 0 and 255 in every other reader.
            pixels = np.asarray(image.convert('L') if image.mode == '1' else image)
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for some damaged PNG files
        raise ValueError(f'the mask {path} cannot be read: {error}') from error
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise ValueError(
            f'the mask {path} has the shape {pixels.shape} and type {pixels.dtype}, expected one 8-bit channel'
        )
    return pixels
