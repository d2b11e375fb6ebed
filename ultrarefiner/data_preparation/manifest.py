"""`manifest.csv`: one row an image, everything that is known of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath

from .errors import DatasetError


@dataclass(frozen=True)
class ManifestRow:
    """One image and its mask.

    Args:
        dataset (str): Name of the dataset.
        name (str): Unique, safe as a file name.
        patient (str): The archive's patient identifier, '' where unknown.
        group (str): What must stay on one side of a split.
        label (str): Such as 'benign', 'malignant', 'unknown'.
        image (str): The file, relative to the manifest's folder, with forward slashes.
        mask (str): The file of the mask.
        height (int): Pixels.
        width (int): Pixels.
        sha256 (str): Of the image's size and pixels (`pixel_sha256`).
        dhash (str): Perceptual hash of the image (`grouping.dhash`).
        n_components (int): 8-connected lesions in the mask.
        fg_fraction (str): Share of lesion pixels, six decimals.
        flags (str): What to know about it, separated by ';'.
        split (str): 'train' or 'test'.
        source (str): The image's file in the archive.
        mask_source (str): The mask's files in the archive, separated by ';'.
        mask_sha256 (str): Of the mask's size and pixels.
    """

    dataset: str
    name: str
    patient: str
    group: str
    label: str
    image: str
    mask: str
    height: int
    width: int
    sha256: str
    dhash: str
    n_components: int
    fg_fraction: str
    flags: str
    split: str
    source: str
    mask_source: str
    mask_sha256: str


COLUMNS = tuple(field.name for field in fields(ManifestRow))
INTEGERS = tuple(field.name for field in fields(ManifestRow) if field.type == 'int')


def write_manifest(path: str | Path, rows: Sequence[ManifestRow]) -> None:
    """Write the rows in the order given, with the same bytes on every machine."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        writer.writerows(astuple(row) for row in rows)


def read_manifest(path: str | Path) -> list[ManifestRow]:
    """Read a manifest.

    Raises:
        DatasetError: If it is absent, lacks a column, holds a malformed row, a name twice, or a path that leaves its
            folder.
    """
    path = Path(path)
    try:
        with open(path, newline='', encoding='utf-8') as file:
            reader = csv.DictReader(file)
            lacking = sorted(set(COLUMNS) - set(reader.fieldnames or ()))
            if lacking:
                raise DatasetError(f'{path}: lacks the columns {", ".join(lacking)}; convert the dataset again.')
            records = [(reader.line_num, record) for record in reader]
    except FileNotFoundError as error:
        raise DatasetError(f'{path}: absent; convert the dataset with tools/dataset_converters first.') from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f'{path}: cannot be read ({error}); convert the dataset again.') from error
    rows = [_row(path, line, record) for line, record in records]
    seen: set[str] = set()
    for row in rows:
        if row.name in seen:
            raise DatasetError(f'{path}: the name {row.name!r} stands in two rows; convert the dataset again.')
        seen.add(row.name)
    return rows


def _row(path: Path, line: int, record: dict[str, str]) -> ManifestRow:
    values = {column: record[column] for column in COLUMNS}
    if None in values.values():
        raise DatasetError(f'{path}, line {line}: too few values; convert the dataset again.')
    for column in INTEGERS:
        if not (values[column].isascii() and values[column].isdigit()):
            raise DatasetError(f'{path}, line {line}: {column} is {values[column]!r}, expected a whole number.')
        values[column] = int(values[column])
    for column in ('image', 'mask'):
        inside = PurePosixPath(values[column])
        if inside.is_absolute() or '..' in inside.parts or '\\' in values[column] or not values[column]:
            raise DatasetError(f'{path}, line {line}: {column} {values[column]!r} is not a path inside the dataset.')
    return ManifestRow(**values)
