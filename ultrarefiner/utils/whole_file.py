"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a file so that no other process, and no interruption, ever leaves a part of it.

    Args:
        path (str | Path): The file, in a folder that exists; replaced if it is there.

    Yields:
        Path: Where to write, in the same folder and with the same ending. It becomes `path` at the end of the block,
        and is removed where the block fails.
    """
    path = Path(path)
    partial = path.with_name(f'.{uuid.uuid4().hex}{path.suffix}')
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
