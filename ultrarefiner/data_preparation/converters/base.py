"""What a converter of one dataset says; `conversion.convert` does the work that is common to all."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..archive import Archive, stem_of
from ..errors import DatasetError
from ..images import decode, is_image
from ..mask_rules import BINARY, MaskRule


@dataclass(frozen=True)
class Sample:
    """One image of an archive and what is known of it.

    Args:
        name (str): Unique in the dataset, safe as a file name.
        image_source (str): The image's file in the archive.
        mask_sources (tuple[str, ...]): The mask's files; several are united.
        patient (str): The archive's patient identifier, '' where unknown.
        label (str): Such as 'benign'.
        flags (tuple[str, ...]): What to know about it.
        official_fold (str): The archive's own fold, '' where it has none.
    """

    name: str
    image_source: str
    mask_sources: tuple[str, ...]
    patient: str = ''
    label: str = 'unknown'
    flags: tuple[str, ...] = ()
    official_fold: str = ''


@dataclass(frozen=True)
class Fault:
    """Something wrong with one file of an archive.

    Args:
        source (str): The file.
        message (str): What is wrong with it.
    """

    source: str
    message: str


@dataclass(frozen=True)
class Expected:
    """What a dataset is said to hold: by the method's table and by its publication. None where nothing is said.

    Args:
        method (Mapping[str, int]): Quantity ('train', 'test', 'lesion images') to count.
        published (Mapping[str, int]): Quantity ('images', 'lesion images', 'patients' or a label) to count.
    """

    method: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Collection:
    """What was found in an archive by names and tables alone, before a single image is opened.

    Args:
        dataset (str): Name of the dataset.
        expected (Expected): What it should hold.
        root (str): Folder of the archive that the dataset was found in, '' for the top.
        samples (list[Sample]): In sorted order.
        faults (list[Fault]): What cannot be used until it is mended.
        left_out (dict[str, list[str]]): Reason to the files left out for it.
        notes (list[str]): What the user should know.
    """

    dataset: str
    expected: Expected
    root: str = ''
    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def relative(self, source: str) -> str:
        """A file's path relative to the dataset's root, the same however deep an archive nests it."""
        return source.removeprefix(f'{self.root}/')


class BaseConverter(ABC):
    """Base of the converters: which files are images, masks and patients in one archive, and how masks are read.

    Args:
        mask_rule (MaskRule, optional): How mask values are read instead of `default_rule`.
    """

    default_rule: MaskRule = BINARY

    def __init__(self, mask_rule: MaskRule | None = None):
        self.mask_rule = mask_rule or self.default_rule

    @abstractmethod
    def collect(self, archive: Archive) -> Collection:
        """List the samples of an archive.

        Raises:
            DatasetError: If the layout is not the dataset's.
        """

    def load_mask(self, archive: Archive, sample: Sample, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
        """The lesions of a sample, united over its mask files.

        Args:
            archive (Archive): Where the files are.
            sample (Sample): The sample.
            size (tuple[int, int]): (H, W) of its image.

        Returns:
            tuple[np.ndarray, tuple[str, ...]]: (H, W) bool, and flags to add.

        Raises:
            DatasetError: If a mask is unreadable, of another size, or has values that the rule does not know.
        """
        united = np.zeros(size, bool)
        flags: list[str] = ['multiple_masks'] if len(sample.mask_sources) > 1 else []
        for source in sample.mask_sources:
            lesion = self.mask_rule(decode(archive.read(source), source), source)
            if lesion.shape != size:
                lesion, flag = self.fit_mask(lesion, size, source)
                flags.append(flag)
            united |= lesion
        return united, tuple(sorted(set(flags)))

    def fit_mask(self, lesion: np.ndarray, size: tuple[int, int], source: str) -> tuple[np.ndarray, str]:
        """What to do with a mask of another size than its image: refuse it, unless the dataset is known for it.

        Raises:
            DatasetError: Always, here.
        """
        height, width = lesion.shape
        raise DatasetError(
            f'{source}: the mask is {width}x{height} pixels, its image {size[1]}x{size[0]}; they must be of one size.'
        )


def by_stem(archive: Archive, folder: str) -> dict[str, list[str]]:
    """The images directly in a folder, by file name without suffix."""
    found: dict[str, list[str]] = {}
    for source in filter(is_image, archive.within(folder)):
        found.setdefault(stem_of(source), []).append(source)
    return found


def safe_name(text: str) -> str:
    """A text with everything that some file system refuses in a name replaced by '_'."""
    return re.sub(r'[^A-Za-z0-9._-]+', '_', text).strip('._') or '_'


def pair_up(images: Mapping[str, Sequence[str]], masks: Mapping[str, Sequence[str]]) -> tuple[list[str], list[Fault]]:
    """Match images and masks by key.

    Args:
        images (Mapping[str, Sequence[str]]): Key to the image files that bear it.
        masks (Mapping[str, Sequence[str]]): Key to the mask files that bear it.

    Returns:
        tuple[list[str], list[Fault]]: The keys with one image and a mask, sorted naturally, and the faults.
    """
    faults, keys = [], []
    for key in sorted({*images, *masks}, key=natural_key):
        if len(images.get(key, ())) > 1:
            faults.append(Fault(images[key][1], f'has the same name as {images[key][0]}; remove one of them.'))
        elif key not in images:
            faults += [Fault(source, 'a mask with no image.') for source in masks[key]]
        elif key not in masks:
            faults.append(Fault(images[key][0], 'an image with no mask.'))
        else:
            keys.append(key)
    return keys, faults


def pair_one_to_one(
    images: Mapping[str, Sequence[str]], masks: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[Fault]]:
    """`pair_up` where an image has exactly one mask."""
    keys, faults = pair_up(images, masks)
    twice = [key for key in keys if len(masks[key]) > 1]
    faults += [Fault(masks[key][1], f'belongs to the same image as {masks[key][0]}; remove one.') for key in twice]
    return [key for key in keys if key not in set(twice)], faults


def natural_key(text: str) -> tuple:
    """Sorts 'case2' before 'case10'."""
    return tuple(
        (int(part), '') if part.isdigit() and part.isascii() else (-1, part) for part in re.split(r'(\d+)', text)
    )
