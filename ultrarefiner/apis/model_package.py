"""A model as a folder to hand on: weights, config and what they were trained on, in files that run no code."""

from __future__ import annotations

import json
from pathlib import Path

from mmengine.config import Config
from safetensors import SafetensorError
from safetensors.torch import load_file

from .checkpoint_config import plain_values

CONFIG_FILE, WEIGHTS_FILE, META_FILE = 'config.py', 'model.safetensors', 'meta.json'


def is_package(path: str | Path) -> bool:
    """Whether a path is the folder of a package."""
    return all((Path(path) / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE))


def read_package(folder: str | Path) -> tuple[Config, dict]:
    """Read a package.

    Args:
        folder (str | Path): As ``tools/export.py --format package`` wrote it.

    Returns:
        tuple[Config, dict]: The config, and a checkpoint with ``state_dict`` and ``meta``.

    Raises:
        ValueError: If one of the files is damaged.
    """
    folder = Path(folder)
    try:
        cfg = Config(plain_values((folder / CONFIG_FILE).read_text()))
        meta = json.loads((folder / META_FILE).read_text())
        state = load_file(folder / WEIGHTS_FILE)
    except (KeyError, OSError, RecursionError, SafetensorError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f'the package {folder} cannot be read ({error}); export it again') from error
    return cfg, dict(state_dict=state, meta=meta)
