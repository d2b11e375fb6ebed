"""The grid of an ablation: axes on the command line, cells, and the config of each cell."""

from __future__ import annotations

import argparse
import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmengine.config import Config, DictAction

from ..utils.command_line import did_you_mean
from .config_keys import is_set
from .presets import DELETE, Presets


@dataclass(frozen=True)
class Cell:
    """One combination of the grid's values.

    Args:
        choices (tuple[str, ...]): ``axis=value`` of every axis, in the order of the command line.
        overrides (tuple[tuple[str, dict], ...]): The choice and the config overrides that it stands for, in the order
            in which they act.
    """

    choices: tuple[str, ...]
    overrides: tuple[tuple[str, dict], ...] = field(compare=False)

    @property
    def label(self) -> str:
        """For people, and for ``--base``: ``prompts=box,refiner=sam-small``."""
        return ','.join(self.choices)

    @property
    def folder(self) -> str:
        """The label as the name of a folder."""
        return re.sub(r'[^\w.+=-]+', '_', self.label)

    def config(self, base: Config) -> Config:
        """The base config with the overrides merged in, late variables not filled in yet.

        Raises:
            KeyError: If an override sets a key whose parent is not in the config.
        """
        cfg = copy.deepcopy(base)
        for choice, overrides in self.overrides:
            for key, value in copy.deepcopy(overrides).items():
                if not is_set(cfg, key, f'--grid {choice}') and isinstance(value, dict):
                    value.pop(DELETE, None)  # mmengine only takes it away where there is something to delete
                cfg.merge_from_dict({key: value})
        return cfg


def parse_grid(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Read ``axis=value,value,...`` arguments; commas inside of brackets do not separate values.

    Raises:
        ValueError: If one is not of that form, an axis is given twice, or a value is.
    """
    axes: dict[str, list[str]] = {}
    for argument in arguments:
        axis, equals, text = argument.partition('=')
        values = split_outside_brackets(text)
        if not axis or not equals or not all(values):
            raise ValueError(f'--grid {argument!r}: expected NAME=VALUE,VALUE,... such as prompts=point,box+mask')
        if axis in axes:
            raise ValueError(f'--grid {axis} is given twice; put all of its values into one: {axis}=VALUE,VALUE,...')
        doubled = sorted({value for value in values if values.count(value) > 1})
        if doubled:
            raise ValueError(f'--grid {axis}: {", ".join(doubled)} is given twice')
        axes[axis] = values
    return axes


def split_outside_brackets(text: str) -> list[str]:
    """Split at the commas that are in no brackets: ``[1,2],[3,4]`` has two parts.

    Raises:
        ValueError: If the brackets do not match.
    """
    parts, depth = [''], 0
    for character in text:
        depth += (character in '([') - (character in ')]')
        if depth < 0:
            break
        if character == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += character
    if depth:
        raise ValueError(f'the brackets of {text!r} do not match')
    return [part.strip() for part in parts]


def expand(axes: Mapping[str, Sequence[str]], presets: Presets, base: Config) -> list[Cell]:
    """All combinations of the values of all axes; the last axis changes fastest.

    An axis is one of the presets', or a key of the config, whose values are read as ``--cfg-options`` reads them.

    Raises:
        KeyError: If an axis is neither, or a value is no preset.
        ValueError: If there are no axes, or two cells would have the same folder.
    """
    if not axes:
        raise ValueError('the grid has no cells: give at least one --grid NAME=VALUE,VALUE,...')
    order = sorted(axes, key=lambda axis: [*presets.axes, axis].index(axis))
    settings = {axis: {value: _overrides(axis, value, presets, base) for value in axes[axis]} for axis in axes}
    cells = []
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values))
        overrides = tuple((f'{axis}={chosen[axis]}', settings[axis][chosen[axis]]) for axis in order)
        cells.append(Cell(tuple(f'{axis}={value}' for axis, value in chosen.items()), overrides))
    folders = [cell.folder for cell in cells]
    for cell in cells:
        if folders.count(cell.folder) > 1:
            raise ValueError(f'two cells would have the folder {cell.folder!r}; name the values differently')
    return cells


def find_cell(cells: Sequence[Cell], text: str | None) -> Cell:
    """The cell that ``--base`` names by some or all of its choices; the first one without a name.

    Raises:
        ValueError: If none or several cells have these choices.
    """
    wanted = set() if text is None else set(split_outside_brackets(text))
    found = [cell for cell in cells if wanted <= set(cell.choices)]
    if not found or (text is not None and len(found) > 1):
        raise ValueError(
            f'--base {text!r} names {len(found)} cells, expected one of {"; ".join(cell.label for cell in cells)}'
        )
    return found[0]


def _overrides(axis: str, value: str, presets: Presets, base: Config) -> dict:
    if axis in presets.axes:
        overrides = presets.overrides(axis, value)
        if 'model.coarse' in overrides and base.model.coarse.type == 'PrecomputedCoarse':
            raise ValueError(
                f'--grid {axis}={value}: the config reads stored predictions, and a coarse network in their place '
                'would be an untrained one; give a config of phase 1 or 3'
            )
        return overrides
    if axis.partition('.')[0] not in base:
        raise KeyError(
            f'--grid {axis}: neither an axis of the presets ({", ".join(presets.axes)}) nor a key of the config'
            f'{did_you_mean(axis, [*presets.axes, *base])}'
        )
    return _parse_option(f'{axis}={value}')


def _parse_option(text: str) -> dict:
    """Read one KEY=VALUE as ``--cfg-options`` does."""
    parser = argparse.ArgumentParser()
    parser.add_argument('option', nargs='+', action=DictAction)
    return parser.parse_args([text]).option
