"""A model as a folder to hand on: weights, config and what they were trained on, in files that run no code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..models.segmentors import CoarseToFine
from ..utils.guard_rules import GuardRules
from ..utils.whole_folder import whole_folder
from .checkpoint_config import plain_values

CONFIG_FILE, WEIGHTS_FILE, META_FILE, CARD_FILE = 'config.py', 'model.safetensors', 'meta.json', 'README.md'
# All else in a config is of the training and of the machine it ran on.
BUILDING_KEYS = ('default_scope', 'custom_imports', 'model')


def is_package(path: str | Path) -> bool:
    """Whether a path is the folder of a package."""
    return all((Path(path) / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE))


def read_package(folder: str | Path) -> tuple[Config, dict]:
    """Read a package.

    Args:
        folder (str | Path): As ``tools/export.py --format package`` wrote it.

    Returns:
        tuple[Config, dict]: The config, and a checkpoint with ``state_dict`` and ``meta``. Weights that are stored in
        float16 are given in float32.

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
    state = {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}
    return cfg, dict(state_dict=state, meta=meta)


def write_package(
    model: CoarseToFine, folder: str | Path, card: str, force: bool = False, dtype: torch.dtype = torch.float32
) -> None:
    """Write a package: everything that `init_model` needs, and a page about it.

    Args:
        model (CoarseToFine): From `init_model`; all its weights are written, those that came from other files too.
        folder (str | Path): To make.
        card (str): Text of its README.md, from `model_card`.
        force (bool): Whether to replace an earlier package. Defaults to False.
        dtype (torch.dtype): What float32 weights are stored in; float16 takes half the space. Defaults to float32.

    Raises:
        FileExistsError: If the folder is there already.
        ValueError: If a weight is too large for `dtype`.
    """
    cfg = Config({key: model.cfg[key] for key in BUILDING_KEYS if model.cfg.get(key) is not None})
    cfg.model.pop('init_from', None)
    meta = dict(dataset_meta=model.dataset_meta, ultrarefiner=model.provenance)
    state = {name: _stored(name, value, dtype) for name, value in model.state_dict().items()}
    # Not by the weights: folders of other programs have a file of that name.
    with whole_folder(folder, META_FILE, force) as partial:
        (partial / CONFIG_FILE).write_text(Config(_without_files(cfg.to_dict())).pretty_text)
        (partial / META_FILE).write_text(json.dumps(meta, indent=1))
        (partial / CARD_FILE).write_text(card)
        save_file(state, partial / WEIGHTS_FILE, metadata=dict(format='pt'))
        # safetensors makes a file that nobody else may read.
        shutil.copymode(partial / CONFIG_FILE, partial / WEIGHTS_FILE)


def _stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight as it is written: a copy, because safetensors refuses tensors that share memory."""
    stored = value.detach().cpu().to(dtype if value.dtype == torch.float32 else value.dtype, copy=True).contiguous()
    if not torch.equal(stored.isfinite(), value.cpu().isfinite()):
        raise ValueError(f'{name} has values up to {value.abs().max():.3g}, too large for {dtype}; leave --half out')
    return stored


def _without_files(node: Any) -> Any:
    """A config that needs no other file: its weights are in the package, and the rules of a guard are written out."""
    if isinstance(node, (list, tuple)):
        return type(node)(_without_files(value) for value in node)
    if not isinstance(node, dict):
        return node
    kept = {key: _without_files(value) for key, value in node.items() if not _is_source(key, value)}
    if kept.get('type') == 'GuardedRefiner' and isinstance(kept.get('rules'), str):
        kept['rules'] = {name: list(ends) for name, ends in GuardRules.load(kept['rules']).ranges.items()}
    return kept


def _is_source(key: str, value: Any) -> bool:
    """Whether a key says where weights once came from."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    loads = any(isinstance(part, dict) and str(part.get('type', '')).startswith('Pretrained') for part in parts)
    return (key == 'checkpoint' and isinstance(value, str)) or (key == 'init_cfg' and loads)
