"""How the values of a mask file become lesion and background: stated per dataset, never guessed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from PIL import Image

from .errors import DatasetError

MAX_HISTOGRAM_ROWS = 12


class MaskRule(ABC):
    """Turns a mask image into lesion (True) and background (False)."""

    @abstractmethod
    def __call__(self, image: Image.Image, name: str) -> np.ndarray:
        """Read a mask.

        Args:
            image (Image.Image): The mask as decoded from its file.
            name (str): The file's name, for messages.

        Returns:
            np.ndarray: (H, W) bool.

        Raises:
            DatasetError: If a value is not one that the rule knows.
        """


class GreyValueMap(MaskRule):
    """Every grey value stands for what it is said to stand for; any other is refused.

    Colour masks are read where their channels are equal, one-bit masks as 0 and 255, and a constant alpha channel is
    dropped: the mixtures that archives are made of.

    Args:
        values (Mapping[int, int]): Grey value to 1 (lesion) or 0 (background).
    """

    def __init__(self, values: Mapping[int, int]):
        self.values = dict(values)
        self.table = np.full(256, -1, np.int8)
        for value, target in self.values.items():
            if not 0 <= value <= 255 or target not in (0, 1):
                raise DatasetError(
                    f'mask values {self.values}: {value}={target} is not a grey value (0..255) mapped to 0 or 1.'
                )
            self.table[value] = target

    def __call__(self, image: Image.Image, name: str) -> np.ndarray:
        """Read a mask, (H, W) bool."""
        pixels = _pixels(image, name)
        if pixels.ndim == 3:
            if not (pixels == pixels[..., :1]).all():
                raise _unknown_values(name, 'grey values ' + ', '.join(map(str, self.values)), pixels)
            pixels = pixels[..., 0]
        mapped = self.table[pixels]
        if (mapped < 0).any():
            raise _unknown_values(name, 'grey values ' + ', '.join(map(str, self.values)), pixels)
        return mapped == 1


class MaskThreshold(MaskRule):
    """Lesion where the largest colour channel is above a level, for masks with grey borders or compression noise.

    The largest channel and not the luminance, which is 76 for pure red: a threshold on it would delete red lesions.

    Args:
        level (int): Lesion is strictly above it; 0..254.
    """

    def __init__(self, level: int):
        if not 0 <= level <= 254:
            raise DatasetError(f'mask threshold {level}: expected 0..254.')
        self.level = level

    def __call__(self, image: Image.Image, name: str) -> np.ndarray:
        """Read a mask, (H, W) bool."""
        pixels = _pixels(image, name)
        return (pixels.max(axis=2) if pixels.ndim == 3 else pixels) > self.level


class ColourMap(MaskRule):
    """Every colour stands for what it is said to stand for; any other is refused.

    Args:
        colours (Mapping[tuple, int]): (red, green, blue) to 1 (lesion) or 0 (background).
    """

    def __init__(self, colours: Mapping[tuple[int, int, int], int]):
        self.colours = dict(colours)

    def __call__(self, image: Image.Image, name: str) -> np.ndarray:
        """Read a mask, (H, W) bool."""
        pixels = _pixels(image, name)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        lesion = np.zeros(pixels.shape[:2], bool)
        known = np.zeros(pixels.shape[:2], bool)
        for colour, target in self.colours.items():
            here = (pixels == np.array(colour, np.uint8)).all(axis=2)
            known |= here
            if target:
                lesion |= here
        if not known.all():
            raise _unknown_values(name, 'colours ' + ', '.join(map(str, self.colours)), pixels)
        return lesion


BINARY = GreyValueMap({0: 0, 255: 1})


def _pixels(image: Image.Image, name: str) -> np.ndarray:
    """The values of a mask without alpha: (H, W) or (H, W, 3) uint8."""
    if image.mode in ('I', 'F') or image.mode.startswith('I;'):
        raise DatasetError(f'{name}: a mask of mode {image.mode}, expected 8 bits or fewer a channel; convert it.')
    if image.mode == '1':
        image = image.convert('L')
    elif image.mode == 'P' or image.mode not in ('L', 'LA', 'RGB', 'RGBA'):
        image = image.convert('RGBA' if 'transparency' in image.info else 'RGB')
    if image.mode in ('LA', 'RGBA'):
        alpha = np.asarray(image.getchannel('A'))
        if alpha.min() != alpha.max():
            raise _unknown_values(f'{name} (alpha channel)', 'a constant alpha channel', alpha)
        image = image.convert(image.mode[:-1])
    return np.asarray(image)


def _unknown_values(name: str, known: str, pixels: np.ndarray) -> DatasetError:
    values, counts = np.unique(pixels.reshape(-1, *pixels.shape[2:]), axis=0, return_counts=True)
    order = np.argsort(-counts, kind='stable')
    rows = [f'{tuple(values[i].tolist()) if values.ndim > 1 else values[i]}: {counts[i]}' for i in order]
    histogram = ', '.join(rows[:MAX_HISTOGRAM_ROWS])
    if len(rows) > MAX_HISTOGRAM_ROWS:
        histogram += f' and {len(rows) - MAX_HISTOGRAM_ROWS} more values'
    return DatasetError(
        f'{name}: unknown mask values; expected {known}; pixels by value: {histogram}. Mend the mask, or state how to '
        'read it (--mask-threshold LEVEL if the other values are grey borders or compression noise).'
    )
