"""Reading the header of an image file: cheap enough to do for a whole dataset before training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

EIGHT_BIT_MODES = frozenset({'1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr'})
PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
PNG_TRAILER = b'\x00\x00\x00\x00IEND\xaeB`\x82'


class ImageHeader(NamedTuple):
    """What an image file says about itself.

    Attributes:
        height: In pixels.
        width: In pixels.
        mode: Pillow's name of the pixel format, such as 'L' (grey), 'RGB' or 'I;16' (16-bit grey).
    """

    height: int
    width: int
    mode: str

    @property
    def is_eight_bit(self) -> bool:
        """bool: Whether every channel has at most 8 bits."""
        return self.mode in EIGHT_BIT_MODES


def read_header(file: str | Path | BinaryIO) -> ImageHeader:
    """Read the size and the pixel format of an image without decoding its pixels.

    Args:
        file (str | Path | BinaryIO): The file, or its path.

    Raises:
        OSError: If the file is missing or is no image that Pillow knows.
    """
    with Image.open(file) as image:
        return ImageHeader(image.height, image.width, image.mode)


def is_truncated(file: BinaryIO) -> bool:
    """Whether a PNG file lacks its end; False for every other format.

    Args:
        file (BinaryIO): The file, open, of at least 12 bytes.
    """
    file.seek(0)
    if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
        return False
    file.seek(-len(PNG_TRAILER), os.SEEK_END)
    return file.read() != PNG_TRAILER
