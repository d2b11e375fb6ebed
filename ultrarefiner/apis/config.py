"""Configs whose paths are filled in last, so that a fold or a dataset is one option on the command line."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from .config_keys import check_options

LATE_VARIABLES = ('dataset', 'fold', 'data_dir', 'out_dir', 'coarse_name')
DECISIVE_KEYS = (
    'dataset',
    'fold',
    'model',
    'train_dataloader',
    'val_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'custom_hooks',
    'randomness',
)
_PLACEHOLDER = re.compile(r'\{(' + '|'.join(LATE_VARIABLES) + r')\}')


def load_config(path: str | Path, options: dict | None = None) -> Config:
    """Read a config, merge options into it, then fill in the late variables.

    A string of a config may hold ``{dataset}``, ``{fold}``, ``{data_dir}``, ``{out_dir}`` or ``{coarse_name}``, which
    are replaced by the config's top-level values of these names after ``options`` are merged, so that ``fold=3`` on the
    command line reaches every path. A string that is one placeholder and nothing else becomes the value itself, with
    its type. ``coarse_name`` keeps the checkpoints of different coarse networks apart; by default it is the ``name`` in
    ``model.coarse``, which is taken out there, so that it changes with the network.

    ``dataset`` may be a list: a dataset whose config names ``{dataset}`` then becomes a ``ConcatDataset`` of them all
    (the method's phase 2 trains one refiner on five datasets).

    Args:
        path (str | Path): The config file.
        options (dict, optional): As from ``--cfg-options``; keys may be dotted.

    Returns:
        Config: Ready for a Runner. Its ``fingerprint`` is the hash of what decides a training's result: model, data,
            losses, schedule and seed, but not where the folders lie.

    Raises:
        FileNotFoundError: If the file does not exist.
        KeyError: If an option sets something in what the config does not have.
        ValueError: If the file is a checkpoint, a placeholder has no value in the config, or ``dataset`` is a list
            where one name is needed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {path} does not exist; the configs that come with the project are in configs/')
    if Path(path).suffix in ('.pth', '.pt'):
        raise ValueError(f'{path} is a checkpoint, a config is wanted here: a .py file, such as those in configs/')
    return complete_config(Config.fromfile(str(path)), options)


def complete_config(cfg: Config, options: dict | None = None) -> Config:
    """What `load_config` does with a config that was read already; ``cfg`` itself is changed."""
    if options:
        check_options(cfg, options)
        cfg.merge_from_dict(options)
        # The file's own custom_imports were imported while it was read.
        if any(key.startswith('custom_imports') for key in options):
            import_modules_from_strings(**cfg.custom_imports)
    model = cfg.get('model') or {}
    if not isinstance(model, dict) or not isinstance(model.get('coarse', {}), dict):
        raise ValueError(f'the model of the config is {model!r}, expected a dict whose entry coarse, if any, is a dict')
    name = model.get('coarse', {}).pop('name', None)
    if name is not None:
        cfg.setdefault('coarse_name', name)
    values = {name: cfg.get(name) for name in LATE_VARIABLES}
    if isinstance(values['dataset'], (list, tuple)) and len(values['dataset']) == 1:
        values['dataset'] = cfg.dataset = values['dataset'][0]
    cfg.fingerprint = _fingerprint(cfg)
    for key in [key for key in cfg if key not in LATE_VARIABLES]:
        cfg[key] = _fill(cfg[key], values, where=key)
    return cfg


def _fingerprint(cfg: Config) -> str:
    decisive = {key: copy.deepcopy(cfg.get(key)) for key in DECISIVE_KEYS}
    cache = (decisive['model'] or {}).get('embedding_cache') or {}
    for key in ('folder', 'max_size_gib'):
        cache.pop(key, None)
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _fill(node: Any, values: dict, where: str) -> Any:
    if isinstance(node, str):
        return _fill_text(node, values, where)
    if isinstance(node, dict):
        if where.endswith('dataset') and isinstance(values['dataset'], (list, tuple)) and _mentions_dataset(node):
            return _concatenate(node, values, where)
        for key in node:
            node[key] = _fill(node[key], values, f'{where}.{key}')
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(_fill(item, values, f'{where}[{index}]') for index, item in enumerate(node))
    return node


def _fill_text(text: str, values: dict, where: str) -> Any:
    for name in _PLACEHOLDER.findall(text):
        if values[name] is None:
            also = ", or give model.coarse a name='...'" if name == 'coarse_name' else ''
            raise ValueError(
                f'config key {where} = {text!r} needs a value for {name!r}: set it at the top level of the '
                f'config or with --cfg-options {name}=...{also}'
            )
        if name == 'dataset' and not isinstance(values[name], str):
            raise ValueError(f'config key {where} = {text!r} takes one dataset, got {values[name]}')
    whole = _PLACEHOLDER.fullmatch(text)
    if whole:
        return values[whole.group(1)]
    return _PLACEHOLDER.sub(lambda match: str(values[match.group(1)]), text)


def _mentions_dataset(node: Any) -> bool:
    if isinstance(node, str):
        return '{dataset}' in node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    return any(_mentions_dataset(child) for child in children)


def _concatenate(node: dict, values: dict, where: str) -> ConfigDict:
    parts = [_fill(copy.deepcopy(node), {**values, 'dataset': name}, f'{where}[{name}]') for name in values['dataset']]
    return ConfigDict(type='ConcatDataset', datasets=parts, ignore_keys=['dataset', 'split_sha256', 'merged_splits'])
