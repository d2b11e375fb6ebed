"""The config inside a checkpoint, read without running it."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings
from torch import nn

from ..interfaces import BaseAdapter
from ..registry import MODELS

NUMBERS = dict(inf=math.inf, nan=math.nan)


def config_of(checkpoint: dict, source: str) -> Config:
    """The config that a checkpoint was trained with.

    mmengine keeps it as the text of a Python file, which could be made to do anything. Only assignments of plain values
    are understood here, and nothing is executed.

    Args:
        checkpoint (dict): As read.
        source (str): Where it comes from, for messages.

    Returns:
        Config: With late variables filled in, as it was trained.

    Raises:
        ValueError: If there is no config in it, or it holds more than plain values.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise ValueError(
            f'{source} does not carry its config, it is not from this toolkit; give the config, and this file as its '
            'weights'
        )
    try:
        return Config(plain_values(text))
    except (KeyError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            f'the config in {source} cannot be read ({error}); give the config file too, and this file as its weights'
        ) from error


def import_plugins(cfg: Config, source: str) -> None:
    """Import what ``custom_imports`` names, and refuse a model with a type that is no part of a model.

    A type may be an import path. mmengine calls whatever it leads to, such as ``subprocess.run``, so a config that is
    plain values could still run anything.

    Args:
        cfg (Config): With ``model``.
        source (str): Where it comes from, for the message.

    Raises:
        ImportError: If a plug-in is not there.
        ValueError: If an import path leads to anything but a network or an adapter.
    """
    if cfg.get('custom_imports'):
        import_modules_from_strings(**cfg.custom_imports)
    for kind in _types(cfg.get('model')):
        # Without a dot it is the name of a registered class, or nothing that can be called.
        part = MODELS.get(kind) if '.' in kind else nn.Module
        if not (inspect.isclass(part) and issubclass(part, (nn.Module, BaseAdapter))):
            raise ValueError(
                f'{source}: the model has a part of type {kind!r}, which is no registered part of a model, and is not '
                'run; a class of yours is registered by a plug-in that custom_imports names'
            )


def _types(node: Any) -> Iterator[str]:
    """Every ``type`` in a config that is written as text."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        node = node.values()
    elif not isinstance(node, (list, tuple, set)):
        return
    for value in node:
        yield from _types(value)


def plain_values(text: str) -> dict[str, Any]:
    """Read assignments of plain values: constants, lists, tuples, sets, dicts, and ``dict(...)``.

    Args:
        text (str): Python, as ``Config.pretty_text`` writes it.

    Raises:
        ValueError: If there is anything else in it.
    """
    values = {}
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f'line {statement.lineno} is no assignment of a value to a name')
        values[statement.targets[0].id] = _value(statement.value)
    return values


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in NUMBERS:
            return NUMBERS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values) if key is not None}
        case ast.Call(func=ast.Name(id='dict'), args=[] | [ast.Dict()] as given, keywords=keywords):
            # Keys that are no names are written dict({255: 1}) or dict(**{'a b': 1}).
            made: dict[Any, Any] = _value(given[0]) if given else {}
            for keyword in keywords:
                made.update(_value(keyword.value) if keyword.arg is None else {keyword.arg: _value(keyword.value)})
            return made
    raise ValueError(f'line {node.lineno} holds {ast.unparse(node)[:60]!r}, which is no plain value')
