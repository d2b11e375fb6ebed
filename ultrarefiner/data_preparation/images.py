"""Decoding what users bring, and the few facts about pixels that the manifest keeps."""

from __future__ import annotations

import hashlib
import io
import warnings

import cv2
import numpy as np
from PIL import Image

from .errors import DatasetError

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
BIT_DEPTH_AT = 24  # PNG specification, 11.2.2: signature 8 bytes, chunk header 8, width 4, height 4, then bit depth.


def is_image(name: str) -> bool:
    """Whether a file's suffix is that of an image."""
    return name.lower().endswith(SUFFIXES)


def decode(data: bytes, name: str) -> Image.Image:
    """Decode a whole image file.

    Raises:
        DatasetError: If the file is empty, truncated, or no image.
    """
    if not data:
        raise DatasetError(f'{name}: the file is empty (0 bytes); download it again.')
    try:
        # Pillow only warns of images large enough to exhaust the memory.
        with warnings.catch_warnings():
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            image.load()
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files.
        raise DatasetError(f'{name}: cannot be decoded ({error}); truncated or no image; download it again.') from error
    return image


def as_grey_or_rgb(image: Image.Image, name: str) -> Image.Image:
    """The image with one or three 8-bit channels.

    Raises:
        DatasetError: If it has more than 8 bits a channel, for which a window would have to be chosen.
    """
    if image.mode in ('L', 'RGB'):
        return image
    if image.mode in ('I', 'F') or image.mode.startswith('I;'):
        raise DatasetError(f'{name}: an image of mode {image.mode}, expected 8 bits a channel; convert it first.')
    return image.convert('L' if image.mode in ('1', 'LA') else 'RGB')


def png_bytes(image: Image.Image, data: bytes = b'') -> bytes:
    """A PNG file of the image, with fixed settings and no metadata.

    Args:
        image (Image.Image): Grey or RGB, 8 bits.
        data (bytes): The file that the image came from; handed back as it is where it is such a PNG already, so that
            the result does not depend on the version of a compression library.
    """
    plain = image.format == 'PNG' and image.mode in ('L', 'RGB') and 'transparency' not in image.info
    if plain and data[BIT_DEPTH_AT] == 8:
        return data
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, 'PNG', compress_level=6)
    return buffer.getvalue()


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256 of size and pixels: equal for equal pictures, however they were compressed.

    Three equal channels count as one, so that a grey image and its RGB copy are the same picture.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    digest = hashlib.sha256(f'{pixels.shape}'.encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def count_components(lesion: np.ndarray) -> int:
    """Number of 8-connected lesions in a mask, (H, W) bool."""
    return cv2.connectedComponents(lesion.astype(np.uint8), connectivity=8)[0] - 1
