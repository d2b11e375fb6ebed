"""Folders that are there as a whole or not at all, and replace nothing but an earlier one of their kind."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: str | Path, marker: str, force: bool = False) -> Iterator[Path]:
    """Write a folder so that no interruption leaves a part of it.

    Args:
        folder (str | Path): To make; folders above it are made too.
        marker (str): A file that every folder of this kind has, and no other.
        force (bool): Whether to replace an earlier folder of this kind. Defaults to False.

    Yields:
        Path: An empty folder to write to. It becomes `folder` at the end of the block, and is removed where that fails.

    Raises:
        FileExistsError: If `folder` is there and may not be replaced.
    """
    folder = Path(folder)
    check_replaceable(folder, marker, force)
    partial = folder.with_name(f'.{uuid.uuid4().hex}')
    replaced = folder.with_name(f'.{uuid.uuid4().hex}')
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            os.rename(folder, replaced)
        os.rename(partial, folder)
    except BaseException:
        if replaced.exists() and not folder.exists():
            os.rename(replaced, folder)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def check_replaceable(folder: Path, marker: str, force: bool) -> None:
    """Refuse a folder that is there, unless it is empty, or replacing is wanted and it is one of this kind.

    Raises:
        FileExistsError: If it may not be replaced.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not force:
        raise FileExistsError(f'{folder} exists; give --force to replace it, or another --out')
    if not folder.is_dir() or not (folder / marker).is_file() or any(path.is_dir() for path in folder.iterdir()):
        raise FileExistsError(
            f'{folder} is no earlier export of this format (it would be a folder with {marker} and no folders in it), '
            'so --force does not replace it; give another --out'
        )
