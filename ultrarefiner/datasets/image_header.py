"""Reading the header of an image file: cheap enough to do for a whole dataset before training."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

EIGHT_BIT_MODES = frozenset({'1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr'})
PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
PNG_TRAILER = b'\x00\x00\x00\x00IEND\xaeB`\x82'
JPEG_SIGNATURE = b'\xff\xd8\xff'
JPEG_END = b'\xd9'
# A marker with a segment, or the end of the image. FF 00 is a byte FF of the pixels; FF 01 and FF D0 to D8 stand alone.
JPEG_MARKER = re.compile(rb'\xff+([^\x00\x01\xd0-\xd8\xff])', re.DOTALL)


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
    """Whether a PNG or JPEG file lacks its end; False for every other format.

    Args:
        file (BinaryIO): The file, open, of at least 12 bytes.
    """
    file.seek(0)
    signature = file.read(len(PNG_SIGNATURE))
    if signature.startswith(JPEG_SIGNATURE):
        return _jpeg_lacks_its_end(signature + file.read())
    if signature != PNG_SIGNATURE:
        return False
    file.seek(-len(PNG_TRAILER), os.SEEK_END)
    return file.read() != PNG_TRAILER


def _jpeg_lacks_its_end(content: bytes) -> bool:
    """Go from segment to segment: a thumbnail in one has an end of its own, and cameras write bytes after the end."""
    position = len(JPEG_SIGNATURE) - 1
    while marker := JPEG_MARKER.search(content, position):
        if marker[1] == JPEG_END:
            return False
        length = content[marker.end() : marker.end() + 2]
        position = marker.end() + int.from_bytes(length, 'big')
    return True
