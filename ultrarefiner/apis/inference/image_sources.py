"""What a user gives to be segmented: files, folders, patterns and pictures in memory, looked at before long work."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ...data_preparation.errors import DatasetError
from ...data_preparation.images import SUFFIXES, as_grey_or_rgb, is_image
from ...datasets.faults import Faults
from ...datasets.image_header import is_truncated, read_header
from ...datasets.transforms import LoadImage

WHERE = 'the images'
SAVE_AS_PNG = 'choose a grey window and save it as 8-bit PNG first'
MAGIC = frozenset('*?[')


@dataclass(frozen=True)
class ImageSource:
    """One image to segment, not yet decoded.

    Args:
        name (str): Of its results, without an ending; with the sub-folders of the folder that it was found in.
        file_name (str): The same with its ending; of a picture in memory '{name}.png'.
        content (Path | np.ndarray | Tensor | Image.Image): The file, or the picture.
    """

    name: str
    file_name: str
    content: Path | np.ndarray | Tensor | Image.Image

    def read(self) -> Tensor:
        """Decode it as training does, with `LoadImage`; the orientation of EXIF is followed.

        Returns:
            Tensor: (1, H, W) grey or (3, H, W) BGR, uint8, as the preprocessors of the models take it.

        Raises:
            FileNotFoundError: If the file is gone.
            ValueError: If it cannot be decoded.
        """
        if isinstance(self.content, Path):
            pixels = LoadImage(grey_channels=1).transform(dict(img_path=str(self.content)))['img']
        elif isinstance(self.content, Tensor):
            pixels = _rgb_last(self.content)
        elif isinstance(self.content, Image.Image):
            pixels = np.array(as_grey_or_rgb(ImageOps.exif_transpose(self.content), self.name))
            pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
        else:
            pixels = self.content[..., ::-1] if self.content.ndim == 3 else self.content
        channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(channels_first))


def find_sources(images: Any, recursive: bool = False) -> list[ImageSource]:
    """List the images that are meant, and look at the header of each file.

    Args:
        images: A file, a folder, a pattern such as ``'scans/*.png'`` (``**`` for any depth), an array (H, W) or
            (H, W, 3) uint8 RGB, a Pillow image, a tensor (H, W), (1, H, W) or (3, H, W) uint8 RGB; an
            `ImageSource`, which is not looked at again; or a list of these.
        recursive (bool): Whether the sub-folders of folders count too. Defaults to False.

    Returns:
        list[ImageSource]: In the order given; of a folder or a pattern sorted by path. The results of pictures in
        memory are named 'image_0', by their place in the list.

    Raises:
        DatasetError: If there are none; or files are missing, unreadable, cut short or of more than 8 bits a channel;
            or two would have results of the same name. One message about all of them.
        TypeError: If something is none of these.
    """
    faults = Faults(WHERE)
    items = list(images) if isinstance(images, (list, tuple)) else [images]
    sources = []
    for place, item in enumerate(items):
        found = [item] if isinstance(item, ImageSource) else list(_expand(item, place, recursive, faults))
        sources += found
        for source in found:
            if source is not item and isinstance(source.content, Path):
                _check_file(source.content, faults)
    _check_names(sources, faults)
    faults.raise_if_any()
    if not sources:
        raise DatasetError(f'{WHERE}: the list is empty; give a file, a folder, a pattern or pictures')
    return sources


def _expand(item: Any, place: int, recursive: bool, faults: Faults) -> Iterator[ImageSource]:
    if isinstance(item, (str, Path)):
        yield from _files(item, recursive, faults)
    elif isinstance(item, (np.ndarray, Tensor, Image.Image)):
        name = f'image_{place}'
        _check_picture(item, name)
        yield ImageSource(name, f'{name}.png', item)
    else:
        raise TypeError(
            f'image {place} is a {type(item).__name__}, expected a path, a pattern, a uint8 array (H, W) or (H, W, 3), '
            'a Pillow image or a tensor'
        )


def _files(item: str | Path, recursive: bool, faults: Faults) -> Iterator[ImageSource]:
    path = Path(item)
    if path.is_dir():
        found, root = _in_folder(path, recursive, faults), path
    elif path.exists() or not MAGIC & set(str(item)):
        found, root = [path], path.parent
    else:
        found = sorted(Path(match) for match in glob.glob(str(item), recursive=True) if is_image(match))
        root = _root_of(path)
        if not found:
            faults.add('no image fits the pattern', str(item), f'images end in {", ".join(SUFFIXES)}')
    for file in found:
        within = file.relative_to(root)
        yield ImageSource(within.with_suffix('').as_posix(), within.as_posix(), file)


def _in_folder(folder: Path, recursive: bool, faults: Faults) -> list[Path]:
    listed = folder.rglob('*') if recursive else folder.iterdir()
    # A hidden file with the ending of an image is what macOS keeps of one on a foreign disk.
    found = sorted(file for file in listed if is_image(file.name) and file.name[0] != '.' and file.is_file())
    if not found:
        deeper = '' if recursive else '; sub-folders are looked at with recursive=True (--recursive)'
        faults.add('no images in the folder', str(folder), f'images end in {", ".join(SUFFIXES)}{deeper}')
    return found


def _root_of(pattern: Path) -> Path:
    """The folder above the first part of a pattern that stands for several."""
    plain = []
    for part in pattern.parts:
        if MAGIC & set(part):
            break
        plain.append(part)
    return Path(*plain)


def _check_file(path: Path, faults: Faults) -> None:
    try:
        with path.open('rb') as file:
            header, truncated = read_header(file), is_truncated(file)
    except FileNotFoundError:
        faults.add('no such file', str(path), 'check the path')
    except Image.DecompressionBombError as error:
        faults.add('too large', f'{path} ({error})', 'cut it into parts')
    except OSError:
        faults.add('unreadable', str(path), 'the file is damaged or no image; replace or remove it')
    else:
        if truncated:
            faults.add('cut short', str(path), 'the end of the file is missing; replace or remove it')
        elif not header.is_eight_bit:
            faults.add('more than 8 bits a channel', f'{path} (mode {header.mode})', SAVE_AS_PNG)


def _check_picture(picture: np.ndarray | Tensor | Image.Image, name: str) -> None:
    if isinstance(picture, Image.Image):
        as_grey_or_rgb(Image.new(picture.mode, (1, 1)), name)
        return
    array = isinstance(picture, np.ndarray)
    shape, kind = tuple(picture.shape), picture.dtype
    colour = shape[-1:] == (3,) if array else shape[:1] in ((1,), (3,))
    if kind not in (np.uint8, torch.uint8) or 0 in shape or not (len(shape) == 2 or len(shape) == 3 and colour):
        expected = 'an array (H, W) or (H, W, 3)' if array else 'a tensor (H, W), (1, H, W) or (3, H, W)'
        raise ValueError(
            f'{name} has the shape {shape} and type {kind}, expected {expected} of uint8, RGB, from 0 to 255; several '
            'images are given as a list'
        )


def _check_names(sources: Iterable[ImageSource], faults: Faults) -> None:
    first: dict[str, ImageSource] = {}
    for source in sources:
        other = first.setdefault(source.name, source)
        if other is not source:
            faults.add(
                'two images whose results would have the same name',
                f'{source.name} ({_where(other)}, {_where(source)})',
                'rename one; or give the folder above them with recursive=True (--recursive), whose sub-folders are '
                'kept in the names',
            )


def _where(source: ImageSource) -> str:
    return str(source.content) if isinstance(source.content, Path) else 'in memory'


def _rgb_last(picture: Tensor) -> np.ndarray:
    """A tensor (H, W), (1, H, W) or (3, H, W) RGB as (H, W) or (H, W, 3) BGR."""
    pixels = picture.detach().cpu().numpy()
    if pixels.ndim == 2:
        return pixels
    return pixels[0] if len(pixels) == 1 else pixels[::-1].transpose(1, 2, 0)
