"""Checking a converted dataset: every file, value, size and name against manifest and split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .destination import foreign_files
from .errors import DatasetError
from .grouping import dhash, duplicate_pairs
from .images import count_components, decode, pixel_sha256
from .manifest import ManifestRow, read_manifest
from .splits import Splits


@dataclass(frozen=True)
class Finding:
    """Something wrong in a converted dataset.

    Args:
        where (str): The file or image.
        what (str): What is wrong with it.
    """

    where: str
    what: str

    def __str__(self):
        return f'{self.where}: {self.what}'


def verify(folder: str | Path, track: Callable[[Sequence], Iterable] = iter) -> list[Finding]:
    """Check a converted dataset.

    Args:
        folder (str | Path): What a converter wrote.
        track (Callable): Wraps the list of rows, to show progress.

    Returns:
        list[Finding]: Everything wrong; empty if nothing is.
    """
    folder = Path(folder)
    findings: list[Finding] = []
    try:
        rows = read_manifest(folder / 'manifest.csv')
    except DatasetError as error:
        return [Finding('manifest.csv', str(error))]
    findings += [Finding(name, 'not in the manifest') for name in foreign_files(folder)]
    for row in track(rows):
        findings += _image(folder, row)
        findings += _mask(folder, row)
    try:
        splits = Splits.load(folder / 'splits.json')
    except DatasetError as error:
        return [*findings, Finding('splits.json', str(error))]
    return findings + list(check_split(rows, splits))


def _image(folder: Path, row: ManifestRow) -> Iterator[Finding]:
    image = _open(folder, row.image)
    if isinstance(image, Finding):
        yield image
        return
    if image.format != 'PNG' or image.mode not in ('L', 'RGB'):
        yield Finding(row.image, f'{image.format} of mode {image.mode}, expected PNG of mode L or RGB')
        return
    yield from _size(row.image, image.size, row)
    if pixel_sha256(image) != row.sha256:
        yield Finding(row.image, "pixels differ from the manifest's sha256")
    if dhash(image) != row.dhash:
        yield Finding(row.image, "perceptual hash differs from the manifest's")


def _mask(folder: Path, row: ManifestRow) -> Iterator[Finding]:
    mask = _open(folder, row.mask)
    if isinstance(mask, Finding):
        yield mask
        return
    if mask.format != 'PNG' or mask.mode != 'L':
        yield Finding(row.mask, f'{mask.format} of mode {mask.mode}, expected PNG of mode L')
        return
    yield from _size(row.mask, mask.size, row)
    pixels = np.asarray(mask)
    values = np.unique(pixels).tolist()
    if not set(values) <= {0, 255}:
        yield Finding(row.mask, f'values {values[:8]}, expected 0 and 255 alone')
        return
    lesion = pixels == 255
    if not lesion.any():
        yield Finding(row.mask, 'blank, expected a lesion')
    if pixel_sha256(mask) != row.mask_sha256:
        yield Finding(row.mask, "pixels differ from the manifest's mask_sha256")
    found = (count_components(lesion), f'{lesion.mean():.6f}')
    if found != (row.n_components, row.fg_fraction):
        yield Finding(
            row.mask,
            f'{found[0]} lesions on {found[1]} of the image, the manifest says {row.n_components} on {row.fg_fraction}',
        )


def _open(folder: Path, name: str):
    path = folder / name
    try:
        return decode(path.read_bytes(), name)
    except FileNotFoundError:
        return Finding(name, 'absent')
    except OSError as error:
        return Finding(name, f'cannot be read ({error.strerror})')
    except DatasetError as error:
        return Finding(name, str(error))


def _size(name: str, size: tuple[int, int], row: ManifestRow) -> Iterator[Finding]:
    if size != (row.width, row.height):
        yield Finding(name, f'{size[0]}x{size[1]} pixels, the manifest says {row.width}x{row.height}')


def check_split(rows: Sequence[ManifestRow], splits: Splits) -> Iterator[Finding]:
    """Where a manifest and a split disagree, and near-duplicates that a split parts though it is 'grouped'.

    Args:
        rows (Sequence[ManifestRow]): The manifest.
        splits (Splits): The split.

    Yields:
        Finding: Every such place.
    """
    sides = {**dict.fromkeys(splits.train, 'train'), **dict.fromkeys(splits.test, 'test')}
    known = {row.name: row for row in rows}
    for name in sorted(set(sides) ^ set(known)):
        yield Finding(name, 'in the split but not in the manifest' if name in sides else 'in no side of the split')
    for row in rows:
        if row.name not in sides:
            continue
        if row.dataset != splits.dataset:
            yield Finding(row.name, f'of dataset {row.dataset} in the manifest, of {splits.dataset} in the split')
        if row.group != splits.groups[row.name]:
            yield Finding(row.name, f'group {row.group} in the manifest, {splits.groups[row.name]} in the split')
        expected = (f'{sides[row.name]}/images/{row.name}.png', f'{sides[row.name]}/masks/{row.name}.png')
        if row.split != sides[row.name] or (row.image, row.mask) != expected:
            yield Finding(row.name, f'in {sides[row.name]} by the split, but {row.split}, {row.image} in the manifest')
    if splits.protocol == 'grouped':
        side_of = splits.sides
        placed = [row for row in rows if row.name in side_of]
        for i, j in duplicate_pairs([row.patient for row in placed], [row.dhash for row in placed]):
            one, other = side_of[placed[i].name], side_of[placed[j].name]
            if one != other:
                yield Finding(placed[j].name, f'in {other}, a near-duplicate of {placed[i].name} in {one}')
