"""Reading a dataset as it was downloaded: a folder or a .zip file, alike."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from .errors import DatasetError

# What operating systems leave in folders and archives; never part of a dataset.
CLUTTER = {'__MACOSX', '.DS_Store', 'Thumbs.db', 'desktop.ini'}


class Archive(ABC):
    """The files of a dataset, by their posix path relative to the archive, in sorted order.

    Args:
        path (Path): The folder or the .zip file.
        names (Sequence[str]): The paths in it.
    """

    def __init__(self, path: Path, names: Sequence[str]):
        self.path = path
        self.names = sorted(name for name in names if not is_clutter(name))

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            DatasetError: If the file cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the archive; it cannot be read any more."""

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def within(self, folder: str) -> list[str]:
        """The files directly in ``folder`` ('' for the top), sorted."""
        return [name for name in self.names if parent_of(name) == folder]

    def locate(self, *entries: str) -> str:
        """The folder that holds all of ``entries``, however deep the archive nests it.

        Args:
            entries (str): Folders or files, by their paths relative to the folder looked for; '' is that folder.

        Returns:
            str: The shallowest folder with all of them, '' for the top.

        Raises:
            DatasetError: If no folder holds them all, or several at the same depth do.
        """
        folders = {'/'.join(name.split('/')[:depth]) for name in self.names for depth in range(name.count('/') + 1)}
        known = folders | set(self.names)
        found = sorted(
            (len(folder.split('/')) if folder else 0, folder)
            for folder in folders
            if all(inside(folder, entry) in known for entry in entries)
        )
        wanted = ', '.join(entries)
        if not found:
            top = ', '.join(sorted({name.split('/')[0] for name in self.names})[:8]) or 'nothing'
            raise DatasetError(f'{self.path}: expected a folder with {wanted} side by side; found {top} at the top.')
        shallowest = [folder for depth, folder in found if depth == found[0][0]]
        if len(shallowest) > 1:
            raise DatasetError(
                f'{self.path}: {wanted} lie side by side in more than one folder ({", ".join(shallowest)}); '
                'name the one to convert.'
            )
        return shallowest[0]


class FolderArchive(Archive):
    """A dataset unpacked to a folder."""

    def __init__(self, path: Path):
        super().__init__(path, _walk(path))

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DatasetError(f'{self.path / name}: cannot be read ({error.strerror}).') from error

    def close(self) -> None:
        """Nothing to let go of."""


class ZipArchive(Archive):
    """A dataset as a .zip file, read without unpacking it."""

    def __init__(self, path: Path):
        try:
            self.file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DatasetError(f'{path}: not a readable .zip file ({error}); download it again.') from error
        try:
            super().__init__(path, [_checked(path, info) for info in self.file.infolist() if not info.is_dir()])
            if len(set(self.names)) != len(self.names):
                twice = next(name for name, after in zip(self.names, self.names[1:]) if name == after)
                raise DatasetError(f'{path}: holds {twice!r} more than once; download it again.')
        except DatasetError:
            self.close()
            raise

    def read(self, name: str) -> bytes:
        """The bytes of one member."""
        try:
            return self.file.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise DatasetError(f'{self.path}: {name!r} cannot be read ({error}); download it again.') from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open_archive(path: str | Path) -> Archive:
    """Open a folder or a .zip file.

    Raises:
        DatasetError: If it is absent, of another kind, damaged, or reaches outside itself.
    """
    path = Path(path)
    if path.is_dir():
        return FolderArchive(path)
    if not path.exists():
        raise DatasetError(f'{path}: no such file or folder; give the folder or the .zip file that was downloaded.')
    if not zipfile.is_zipfile(path):
        raise DatasetError(f'{path}: neither a folder nor a .zip file; unpack it and give the folder.')
    return ZipArchive(path)


def inside(folder: str, entry: str) -> str:
    """The path of ``entry`` in ``folder``; either may be ''."""
    return '/'.join(filter(None, (folder, entry)))


def parent_of(name: str) -> str:
    """The folder of a posix path, '' for the top."""
    return name.rpartition('/')[0]


def stem_of(name: str) -> str:
    """The file's name without folder and suffix."""
    return PurePosixPath(name).stem


def is_clutter(name: str) -> bool:
    """Whether a path is one that operating systems leave behind, or hidden."""
    return any(part in CLUTTER or part.startswith('.') for part in name.split('/'))


def _checked(path: Path, info: zipfile.ZipInfo) -> str:
    name = info.filename
    parts = PurePosixPath(name).parts
    windows = PureWindowsPath(name)
    if '..' in parts or '..' in windows.parts or name.startswith('/') or windows.drive or windows.root:
        raise DatasetError(f'{path}: member {name!r} would land outside the target folder; refused.')
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DatasetError(f'{path}: member {name!r} is a symbolic link; refused.')
    return name


def _walk(root: Path) -> list[str]:
    resolved = root.resolve()
    names = []
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        subfolders[:] = sorted(sub for sub in subfolders if not is_clutter(sub))
        for entry in (*subfolders, *files):
            link = here / entry
            if link.is_symlink() and not link.resolve().is_relative_to(resolved):
                raise DatasetError(
                    f'{link}: a symbolic link that leads outside {root}; refused. Copy the files themselves (cp -rL).'
                )
        names += [(here / file).relative_to(root).as_posix() for file in files]
    return names
