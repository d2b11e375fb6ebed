"""The layers of a case: the image as a small JPEG, masks as outlines that the browser fills, clips and strokes."""

from __future__ import annotations

import base64
import io

import contourpy
import cv2
import numpy as np
from PIL import Image

MAX_SIDE = 480
QUALITY = 82
TOLERANCE = 0.35  # pixels of the picture by which an outline may be simplified


def picture_size(width: int, height: int, max_side: int = MAX_SIDE) -> tuple[int, int]:
    """The size (width, height) that a picture is shown at: never enlarged, the longer side at most ``max_side``."""
    scale = min(1, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def picture_uri(image: Image.Image, max_side: int = MAX_SIDE) -> str:
    """Embed an image.

    Args:
        image (Image.Image): Grey or colour.
        max_side (int): See `picture_size`.

    Returns:
        str: A ``data:`` address of a JPEG file.
    """
    image = image.convert('L' if image.mode in ('1', 'L') else 'RGB')
    image = image.resize(picture_size(*image.size, max_side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=QUALITY, optimize=True)
    return f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'


def mask_path(mask: np.ndarray, max_side: int = MAX_SIDE) -> str:
    """Trace a mask.

    The outline runs halfway between pixels inside and pixels outside, so that the filled path has the area of the mask.

    Args:
        mask (np.ndarray): (H, W) bool.
        max_side (int): See `picture_size`.

    Returns:
        str: The ``d`` of an SVG path, in pixels of the scaled picture, for the fill rule 'evenodd'; '' for an empty
        mask.
    """
    size = picture_size(mask.shape[1], mask.shape[0], max_side)
    cover = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    if not mask.any():
        return ''
    # A lesion smaller than a pixel of the picture is still drawn.
    level = min(0.5, float(cover.max()) / 2)
    # Around the image is background: every line is closed, and a mask at the border ends at the border.
    lines = contourpy.contour_generator(z=np.pad(cover, 1)).lines(level)
    return ''.join(_closed(line - 0.5) for line in lines)


def _closed(line: np.ndarray) -> str:
    points = cv2.approxPolyDP(line[:-1].astype(np.float32).reshape(-1, 1, 2), TOLERANCE, closed=True).reshape(-1, 2)
    if len(points) < 3:
        points = line[:-1]
    return 'M' + 'L'.join(f'{x:.1f} {y:.1f}' for x, y in points) + 'Z'
