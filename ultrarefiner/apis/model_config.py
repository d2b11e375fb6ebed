"""The config of a model, from wherever it is written."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ..utils.checkpoint import read_checkpoint
from .checkpoint_config import config_of, import_plugins
from .config import complete_config, load_config
from .init_model import CHECKPOINT_ENDINGS
from .model_package import is_package, read_package


def read_model_config(source: str | Path, options: dict | None = None) -> Config:
    """Read a model's config, without its weights.

    Args:
        source (str | Path): A config, a checkpoint that carries its config, or the folder of a package.
        options (dict, optional): As from ``--cfg-options``.

    Returns:
        Config: With late variables filled in, and what its ``custom_imports`` name imported.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it carries no config, or one with a type that is no part of a model.
    """
    path = Path(source)
    if is_package(path):
        cfg = complete_config(read_package(path)[0], options)
    elif path.suffix in CHECKPOINT_ENDINGS:
        cfg = complete_config(config_of(read_checkpoint(path, 'give a config, or a best.pth'), str(path)), options)
    elif path.is_dir():
        raise ValueError(f'{path} is a folder; give a config, a checkpoint such as {path}/best.pth, or a package')
    else:
        return load_config(path, options)
    import_plugins(cfg, str(path))
    return cfg
