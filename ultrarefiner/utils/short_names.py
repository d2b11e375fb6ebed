"""Short names for folders that are shown beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short_names(folders: Sequence[str | Path]) -> list[str]:
    """The parts of the paths in which they differ: without the folders that all begin with, and that all end with.

    Args:
        folders (Sequence[str | Path]): Work directories, at least one.

    Returns:
        list[str]: One each, all different; the folder's own name where there is one only, '.' for one that holds the
            others.

    Raises:
        ValueError: If one is given twice.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ValueError('a work directory is given twice; give each once')
    if len(paths) == 1:
        return [paths[0].name]
    parts = [path.parts for path in paths]
    while all(names[:1] == parts[0][:1] for names in parts):
        parts = [names[1:] for names in parts]
    while all(len(names) > 1 and names[-1:] == parts[0][-1:] for names in parts):
        parts = [names[:-1] for names in parts]
    return ['/'.join(names) or '.' for names in parts]
