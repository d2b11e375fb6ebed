"""Where the result of an image goes."""

from __future__ import annotations

from pathlib import Path


def result_path(folder: str | Path, metainfo: dict) -> Path:
    """Give ``{folder}/{dataset}/{name}.png`` for an image, so that equal names of two datasets stay apart.

    Args:
        folder (str | Path): The root of the results.
        metainfo (dict): Meta information of the sample: ``img_path`` and, where known, ``dataset``.
    """
    return Path(folder) / metainfo.get('dataset', '') / f'{Path(metainfo["img_path"]).stem}.png'
