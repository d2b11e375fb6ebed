"""Masks from COCO JSON: polygons and uncompressed run lengths (cocodataset.org/#format-data)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import DatasetError


@dataclass
class CocoImage:
    """One image of a COCO file.

    Args:
        file_name (str): As stated.
        height (int): Pixels.
        width (int): Pixels.
        segmentations (list): Of its annotations, undecoded.
        categories (set[str]): Names of their categories.
    """

    file_name: str
    height: int
    width: int
    segmentations: list = field(default_factory=list)
    categories: set[str] = field(default_factory=set)


def read_coco(text: str | bytes, name: str) -> list[CocoImage]:
    """Read a COCO file.

    Args:
        text (str | bytes): Its content.
        name (str): The file's name, for messages.

    Returns:
        list[CocoImage]: Sorted by file name.

    Raises:
        DatasetError: If it is not COCO JSON, or an annotation belongs to no image.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f'{name}: not readable as JSON ({error}).') from error
    if not isinstance(content, dict):
        raise DatasetError(f'{name}: not COCO JSON; expected an object with the lists images and annotations.')
    images: dict[int, CocoImage] = {}
    for entry in _entries(content, 'images', name):
        key, file_name = entry.get('id'), entry.get('file_name')
        size = (entry.get('height'), entry.get('width'))
        if (
            not _is_whole(key)
            or not isinstance(file_name, str)
            or not all(_is_whole(side) and side > 0 for side in size)
        ):
            raise DatasetError(f'{name}: image {entry!r:.200} lacks a whole id, height or width, or a file_name.')
        if key in images:
            raise DatasetError(f'{name}: two images have the id {key}.')
        images[key] = CocoImage(file_name, *size)
    titles = {
        entry.get('id'): str(entry.get('name'))
        for entry in _entries(content, 'categories', name, optional=True)
        if _is_whole(entry.get('id'))
    }
    for entry in _entries(content, 'annotations', name):
        key = entry.get('image_id')
        if not _is_whole(key) or key not in images:
            raise DatasetError(
                f'{name}: annotation {entry.get("id")!r:.50} is of image {key!r:.50}, which is not listed.'
            )
        images[key].segmentations.append(entry.get('segmentation'))
        category = entry.get('category_id')
        if _is_whole(category) and category in titles:
            images[key].categories.add(titles[category])
    return sorted(images.values(), key=lambda image: image.file_name)


def draw(image: CocoImage, name: str) -> np.ndarray:
    """The union of an image's annotations, (H, W) bool.

    Raises:
        DatasetError: If a segmentation is malformed, of another size, or compressed.
    """
    lesion = np.zeros((image.height, image.width), bool)
    for segmentation in image.segmentations:
        if isinstance(segmentation, Mapping):
            lesion |= _run_lengths(segmentation, image, name)
        elif isinstance(segmentation, list) and segmentation:
            for polygon in segmentation:
                lesion |= _polygon(polygon, image, name)
        else:
            raise DatasetError(f'{name}: {image.file_name} has an annotation without polygons or run lengths.')
    return lesion


def fill_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels whose centre lies inside a polygon, by the even-odd rule.

    Args:
        points (np.ndarray): (P, 2) x, y in pixels, 0 at the outer edges (pixel i has its centre at i + 0.5).
        height (int): Of the mask.
        width (int): Of the mask.

    Returns:
        np.ndarray: (H, W) bool.
    """
    inside = np.zeros((height, width), bool)
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    first = max(int(np.floor(points[:, 1].min())), 0)
    last = min(int(np.ceil(points[:, 1].max())), height)
    centres = np.arange(width) + 0.5
    for row in range(first, last):
        y = row + 0.5
        crossed = (y0 <= y) != (y1 <= y)
        x = x0[crossed] + (y - y0[crossed]) / (y1[crossed] - y0[crossed]) * (x1[crossed] - x0[crossed])
        inside[row] = (x[:, None] > centres).sum(axis=0) % 2 == 1
    return inside


def _polygon(polygon: object, image: CocoImage, name: str) -> np.ndarray:
    numbers = isinstance(polygon, list) and all(_is_number(value) for value in polygon)
    if not numbers or len(polygon) < 6 or len(polygon) % 2:
        raise DatasetError(f'{name}: {image.file_name} has a polygon that is no list of 3 or more x, y pairs.')
    return fill_polygon(np.asarray(polygon, float).reshape(-1, 2), image.height, image.width)


def _run_lengths(segmentation: Mapping, image: CocoImage, name: str) -> np.ndarray:
    size, counts = segmentation.get('size'), segmentation.get('counts')
    if isinstance(counts, str):
        raise DatasetError(
            f'{name}: {image.file_name} has compressed run lengths, which are not read here; decode them to lists of '
            'counts or to mask files first (pycocotools.mask.decode).'
        )
    if size != [image.height, image.width]:
        raise DatasetError(
            f'{name}: {image.file_name} has run lengths of size {size!r:.50}, its image {[image.height, image.width]}.'
        )
    valid = isinstance(counts, list) and all(_is_whole(count) and count >= 0 for count in counts)
    if not valid or sum(counts) != image.height * image.width:
        raise DatasetError(
            f'{name}: {image.file_name} has run lengths that do not add up to its {image.height * image.width} pixels.'
        )
    values = np.arange(len(counts)) % 2 == 1
    # Run lengths go down the columns (Fortran order) and start with background.
    return np.repeat(values, counts).reshape((image.height, image.width), order='F')


def _entries(content: Mapping, key: str, name: str, optional: bool = False) -> Sequence[Mapping]:
    entries = content.get(key, [] if optional else None)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f'{name}: not COCO JSON; {key} is not a list of objects.')
    return entries


def _is_whole(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
