"""Presets: how often each error occurs, how severe it is, and how soft the mask becomes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from .boundary_errors import empty, giant_over_segmentation, identity, over_segmentation, shift, under_segmentation
from .local_errors import bridge, fragmentation, internal_holes, missing_chunk
from .scattered_errors import false_positive_islands, noise_scatter

ERROR_TYPES = MappingProxyType(
    {
        function.__name__: function
        for function in (
            identity,
            over_segmentation,
            giant_over_segmentation,
            under_segmentation,
            missing_chunk,
            internal_holes,
            bridge,
            false_positive_islands,
            fragmentation,
            shift,
            empty,
            noise_scatter,
        )
    }
)


@dataclass(frozen=True)
class Preset:
    """What `corrupt` draws from.

    Args:
        probabilities (Mapping[str, float]): Weight of each error type, of the names in `ERROR_TYPES`; types that are
            not named do not occur. They are scaled to a sum of 1.
        severities (Mapping[str, Sequence[float]]): For an error type, the weights of equally wide bins of the severity
            from 0 to 1; scaled to a sum of 1. A type that is not named has all severities equally often.
        secondary (float): Probability that 1 or 2 secondary errors follow.
        soft (float): Probability that the mask is made soft.
        temperature (tuple[float, float]): Range of the soft mask's temperature, in radii of the true lesion.

    Raises:
        ValueError: If a name is unknown, a weight negative or not finite, or a value out of its range.
    """

    probabilities: Mapping[str, float]
    severities: Mapping[str, Sequence[float]] = field(default_factory=dict)
    secondary: float = 0.5
    soft: float = 0.8
    # 2 to 8 pixels at 224 over the median radius there, see `local_errors`.
    temperature: tuple[float, float] = (0.06, 0.25)

    def __post_init__(self):
        for table in ('probabilities', 'severities'):
            for name in getattr(self, table):
                if name not in ERROR_TYPES:
                    nearest = difflib.get_close_matches(str(name), ERROR_TYPES, n=1, cutoff=0)
                    raise ValueError(f'{table} names the error type {name!r}; did you mean {nearest[0]!r}?')
        scaled = _scaled(self.probabilities.values(), 'probabilities')
        object.__setattr__(self, 'probabilities', dict(zip(self.probabilities, scaled)))
        bins = {name: _scaled(weights, f'severities of {name}') for name, weights in self.severities.items()}
        object.__setattr__(self, 'severities', bins)
        for name in ('secondary', 'soft'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)!r}, expected a probability from 0 to 1')
        low, high = self.temperature
        if not 0 < low <= high < np.inf:
            raise ValueError(f'temperature is {self.temperature!r}, expected two numbers, 0 < low <= high')
        object.__setattr__(self, 'temperature', (float(low), float(high)))

    def draw_error(self, rng: np.random.Generator, without: Collection[str] = ()) -> str | None:
        """The name of an error type, not one of ``without``; None where no type is left."""
        left = {name: p for name, p in self.probabilities.items() if p > 0 and name not in without}
        if not left:
            return None
        weights = np.array(list(left.values()))
        return str(rng.choice(list(left), p=weights / weights.sum()))

    def draw_severity(self, error: str, rng: np.random.Generator) -> float:
        """A severity in [0, 1) of an error type."""
        weights = self.severities.get(error, (1.0,))
        return float((rng.choice(len(weights), p=weights) + rng.random()) / len(weights))

    def save(self, path: str | Path) -> None:
        """Write the JSON file that `load_preset` reads."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + '\n', encoding='utf-8')


def load_preset(preset: str | Mapping) -> Preset:
    """A preset from its name, the path of a JSON file, or the content of one.

    Raises:
        ValueError: If there is no such preset, or its content does not fit; the message names the file.
    """
    if isinstance(preset, Mapping):
        return _from_content(preset, 'the corruption preset')
    if preset in PRESETS:
        return PRESETS[preset]
    if not str(preset).endswith('.json'):
        raise ValueError(
            f'there is no corruption preset {preset!r}; give one of {", ".join(PRESETS)}, a .json file written by '
            'tools/analysis_tools/fit_corruption.py, or a dict with probabilities'
        )
    try:
        content = json.loads(Path(preset).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'the corruption preset {preset} cannot be read: {error}') from error
    return _from_content(content, f'the corruption preset {preset}')


def _from_content(content: Mapping, where: str) -> Preset:
    try:
        return Preset(**content)
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'{where} does not fit: {error}') from error


def _scaled(weights: Collection[float], name: str) -> list[float]:
    values = np.array(list(weights), dtype=float)
    if not (values.size and np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ValueError(f'{name} are {values.tolist()}, expected weights of 0 or more, at least one above 0')
    return (values / values.sum()).tolist()


_DEFAULT = dict(
    identity=0.15,
    over_segmentation=0.17,
    giant_over_segmentation=0.10,
    under_segmentation=0.17,
    missing_chunk=0.12,
    internal_holes=0.10,
    bridge=0.10,
    false_positive_islands=0.17,
    fragmentation=0.10,
    shift=0.10,
    empty=0.04,
    noise_scatter=0.03,
)
PRESETS = MappingProxyType(
    {
        'default': Preset(_DEFAULT),
        'mild': Preset({**_DEFAULT, 'identity': 0.30, 'giant_over_segmentation': 0.02, 'empty': 0, 'noise_scatter': 0}),
        'severe': Preset(
            {**_DEFAULT, 'identity': 0.05, 'giant_over_segmentation': 0.20, 'empty': 0.03, 'noise_scatter': 0.02}
        ),
        'boundary_focus': Preset({**_DEFAULT, 'over_segmentation': 0.25, 'under_segmentation': 0.25}),
        'structural': Preset({**_DEFAULT, 'missing_chunk': 0.20, 'internal_holes': 0.20, 'fragmentation': 0.15}),
    }
)
