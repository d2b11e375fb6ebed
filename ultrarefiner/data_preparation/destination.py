"""Where a conversion goes: nothing of the user's is ever overwritten or removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DatasetError
from .manifest import read_manifest

OWN_FILES = {'manifest.csv', 'splits.json', 'report.json', 'report.md'}


def check_destination(source: Path, destination: Path, overwrite: bool) -> None:
    """Refuse a destination that a conversion may not be written to.

    Raises:
        DatasetError: If it lies in the source, is a file, or holds anything (with ``overwrite``: anything that a
            converter did not write).
    """
    if destination.resolve().is_relative_to(source.resolve()):
        raise DatasetError(f'{destination}: lies inside the source {source}; choose a folder elsewhere.')
    if destination.is_symlink() or destination.exists() and not destination.is_dir():
        raise DatasetError(f'{destination}: is a file or a link, expected a folder or nothing.')
    if not destination.exists() or not any(destination.iterdir()):
        return
    if not overwrite:
        raise DatasetError(f'{destination}: is not empty; choose another folder, or --overwrite an earlier conversion.')
    foreign = foreign_files(destination)
    if foreign:
        raise DatasetError(
            f'{destination}: holds files that no converter wrote ({", ".join(foreign[:5])}'
            f'{", ..." if len(foreign) > 5 else ""}); --overwrite removes only conversions. Move them away.'
        )


def foreign_files(folder: Path) -> list[str]:
    """Files in a converted dataset that its manifest does not know, sorted.

    Raises:
        DatasetError: If there is no readable manifest: the folder is no conversion.
    """
    try:
        rows = read_manifest(folder / 'manifest.csv')
    except DatasetError as error:
        raise DatasetError(f'{folder}: is not empty and holds no conversion ({error})') from error
    own = OWN_FILES | {path for row in rows for path in (row.image, row.mask)}
    files = [path for path in folder.rglob('*') if path.is_symlink() or not path.is_dir()]
    return sorted({path.relative_to(folder).as_posix() for path in files} - own)


@contextmanager
def written_beside(destination: Path) -> Iterator[Path]:
    """An empty folder beside the destination, which takes its place when all is written; on an error nothing is left.

    Args:
        destination (Path): Absolute, from a passed `check_destination`.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f'.{destination.name}.partial-', dir=destination.parent))
    try:
        # A folder of its own in there: mkdtemp's is closed to other users, and the result must not be.
        work = temporary / 'dataset'
        work.mkdir()
        yield work
        put_in_place(work, destination, temporary / 'replaced')
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(work: Path, destination: Path, replaced: Path) -> None:
    """Rename a finished folder to its destination; an earlier conversion goes to ``replaced``."""
    if destination.exists():
        os.rename(destination, replaced)
    try:
        os.rename(work, destination)
    except OSError:
        if replaced.exists():
            os.rename(replaced, destination)
        raise
