"""Reading the tables that archives carry."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..archive import Archive
from ..errors import DatasetError


def read_table(archive: Archive, name: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file, with commas or semicolons, with or without a byte-order mark.

    Args:
        archive (Archive): Where it is.
        name (str): The file.
        columns (Sequence[str]): What it must have.

    Returns:
        list[dict[str, str]]: Rows, values stripped.

    Raises:
        DatasetError: If it cannot be read or lacks a column.
    """
    try:
        text = archive.read(name).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DatasetError(f'{archive.path}: {name} is not UTF-8 text ({error}); save it as such.') from error
    header = text.partition('\n')[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=''), delimiter=';' if header.count(';') > header.count(',') else ','
    )
    found = [(column or '').strip() for column in reader.fieldnames or ()]
    reader.fieldnames = found
    lacking = [column for column in columns if column not in found]
    if lacking:
        raise DatasetError(
            f'{archive.path}: {name} lacks the columns {", ".join(lacking)}; it has {", ".join(found) or "none"}.'
        )
    try:
        return [{column: (row[column] or '').strip() for column in columns} for row in reader]
    except csv.Error as error:
        raise DatasetError(f'{archive.path}: {name} is not a readable table ({error}).') from error
