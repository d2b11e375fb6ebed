"""Keys that a config has, and the word on one that it has not."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

from mmengine.config import Config
from mmengine.runner import Runner

from ..utils.command_line import did_you_mean

# What a config need not have for a key in it to be set: the Runner's own, and what it reads beside its arguments.
OPTIONAL = {*inspect.signature(Runner.__init__).parameters, 'custom_imports', 'model_wrapper_cfg'}


def check_options(cfg: Config, options: Iterable[str]) -> None:
    """Refuse options in something that no config has: mmengine would make it, and nothing would read it.

    Args:
        cfg (Config): As read.
        options (Iterable[str]): Keys, which may be dotted.

    Raises:
        KeyError: If a dotted key begins with a name that is neither in the config nor the Runner's.
    """
    for key in options:
        first, dot, _ = key.partition('.')
        if dot and first not in cfg and first not in OPTIONAL:
            raise KeyError(f'option {key}: the config has no {first!r}{did_you_mean(first, [*cfg, *OPTIONAL])}')


def is_set(cfg: Config, key: str, where: str) -> bool:
    """Whether a dotted key is in the config; what holds it has to be, for mmengine would make it silently.

    Raises:
        KeyError: If what holds the key is not there; the message names the nearest one.
    """
    node, *names = cfg, *key.split('.')
    for depth, name in enumerate(names):
        keys = [str(index) for index in range(len(node))] if isinstance(node, (list, tuple)) else node
        if not isinstance(keys, (Mapping, Config, list)):
            held = '.'.join(names[:depth])
            raise KeyError(f'{where} sets {key}, but {held} is {node!r} in the config and holds no {name!r}')
        if name not in keys:
            if depth == len(names) - 1 and isinstance(keys, (Mapping, Config)):
                return False
            missing = '.'.join(names[: depth + 1])
            raise KeyError(f'{where} sets {key}, but the config has no {missing}{did_you_mean(name, keys)}')
        node = node[int(name)] if isinstance(node, (list, tuple)) else node[name]
    return True
