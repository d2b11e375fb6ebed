"""Decoded images in a folder, so that each file is decoded once and not once an epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import PIL

from ..utils.whole_file import whole_file


def cached_pixels(
    folder: str | Path | None, path: str | Path, kind: str, decode: Callable[[], np.ndarray]
) -> np.ndarray:
    """The pixels of an image file, from the folder if they are there, else decoded and put there.

    What is stored belongs to the bytes of the file, ``kind`` and the versions of the decoders: a file that was changed
    is decoded anew. It is written under another name and moved, so that any number of workers and runs may share it.

    Args:
        folder (str | Path, optional): None stores nothing.
        path (str | Path): The image file.
        kind (str): How it is decoded, such as 'grey'.
        decode (Callable): Decodes it; what it raises is raised.

    Returns:
        np.ndarray: What ``decode`` gives.
    """
    if folder is None:
        return decode()
    try:
        content = Path(path).read_bytes()
    except OSError:
        return decode()  # which says what is wrong with it
    digest = hashlib.sha256(f'{kind}, OpenCV {cv2.__version__}, Pillow {PIL.__version__}\n'.encode())
    digest.update(content)
    key = digest.hexdigest()
    file = Path(folder) / key[:2] / f'{key}.npy'
    # A file that is cut is written again.
    with suppress(FileNotFoundError, EOFError, ValueError):
        return np.load(file)
    pixels = decode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as partial:
        np.save(partial, pixels)
    return pixels
