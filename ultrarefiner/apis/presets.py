"""Presets: named sets of config overrides, the values of an ablation's axes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..utils.command_line import did_you_mean

DELETE = '_delete_'
VARIABLES = ('fragments', 'presets', 'joined')


class Presets:
    """The presets of files such as ``configs/ablation/presets.py``, which says what they may hold.

    Args:
        paths (Sequence[str | Path]): The presets files; a later one adds to those before it, and replaces what has the
            same name.

    Attributes:
        axes (dict[str, dict[str, dict]]): Overrides by axis and name, in the order in which the axes act.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If one holds anything but ``fragments``, ``presets`` and ``joined``, or a fragment does not set
            exactly one variable.
    """

    def __init__(self, paths: Sequence[str | Path]):
        self.axes: dict[str, dict[str, dict]] = {}
        self._joined: dict[str, dict] = {}
        for path in map(Path, paths):
            if not path.is_file():
                raise FileNotFoundError(f'presets file {path} does not exist; configs/ablation/presets.py is one')
            file = Config.fromfile(str(path)).to_dict()
            if not set(file) <= set(VARIABLES):
                raise ValueError(f'presets file {path} sets {sorted(file)}, expected some of {", ".join(VARIABLES)}')
            for axis, where in file.get('fragments', {}).items():
                self.axes.setdefault(axis, {}).update(_read_fragments(path.parent, **where))
            for axis, named in file.get('presets', {}).items():
                self.axes.setdefault(axis, {}).update(named)
            self._joined.update(file.get('joined', {}))

    def overrides(self, axis: str, value: str) -> dict:
        """The config overrides of one value of an axis, such as 'point', or 'point+box' for both together.

        Raises:
            KeyError: If there is no such preset.
            ValueError: If presets that are joined set the same key, and the file does not say how.
        """
        if value in self.axes[axis]:
            return copy.deepcopy(self.axes[axis][value])
        together: dict[str, list] = {}
        for name in value.split('+'):
            for key, setting in self._one(axis, name, value).items():
                together.setdefault(key, []).append(setting)
        return {key: self._join(key, settings, f'{axis}={value}') for key, settings in together.items()}

    def _one(self, axis: str, name: str, value: str) -> dict:
        if name in self.axes[axis]:
            return copy.deepcopy(self.axes[axis][name])
        among = '' if name == value else f' in {value!r}'
        raise KeyError(
            f'--grid {axis}: there is no preset {name!r}{among}{did_you_mean(name, self.axes[axis])}; there are '
            f'{", ".join(self.axes[axis])}'
        )

    def _join(self, key: str, settings: list, where: str) -> object:
        if len(settings) == 1:
            return settings[0]
        if key not in self._joined:
            raise ValueError(
                f'--grid {where}: {len(settings)} of these presets set {key}, and `joined` of the presets '
                'file does not say how to join them'
            )
        rule = dict(self._joined[key])
        parts = [{name: value for name, value in setting.items() if name != DELETE} for setting in settings]
        return {DELETE: True, 'type': rule['type'], rule['parts']: parts}


def _read_fragments(folder: Path, files: str, replaces: str) -> dict[str, dict]:
    """The presets of config fragments, each of which replaces a key by the only variable that it sets."""
    pattern = (folder / files).resolve()
    before, after = pattern.name.split('*')
    presets = {}
    for path in sorted(pattern.parent.glob(pattern.name)):
        variables = Config.fromfile(str(path)).to_dict()
        if len(variables) != 1:
            raise ValueError(f'{path} sets {sorted(variables)}, expected one variable, to replace {replaces}')
        name = path.name.removeprefix(before).removesuffix(after)
        presets[name] = {replaces: {DELETE: True, **next(iter(variables.values()))}}
    return presets
