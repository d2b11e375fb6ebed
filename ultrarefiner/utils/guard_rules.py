"""GuardRules: when a refined mask is believed, and when the coarse one is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path

# What a rule can look at. Two empty masks agree, and have the same area.
MEASURES = dict(
    agreement='IoU of the coarse and the refined mask',
    area_ratio='area of the refined mask over that of the coarse one',
    components='number of connected components of the refined mask',
    predicted_iou='IoU that the refiner predicts for its mask',
)


@dataclass(frozen=True)
class GuardRules:
    """The range that each measure of a refined mask must lie in, ends included; else the coarse mask is kept.

    Args:
        ranges (Mapping[str, tuple[float | None, float | None]]): By name of `MEASURES`: the lowest and the highest
            accepted value, None where that side is open. Empty accepts every mask.

    Raises:
        ValueError: If a measure is unknown, or a range is none.
    """

    ranges: Mapping[str, tuple[float | None, float | None]]

    def __post_init__(self):
        for name, ends in self.ranges.items():
            if name not in MEASURES:
                raise ValueError(f'guard rules: there is no measure {name!r}, expected some of {sorted(MEASURES)}')
            if not _is_range(ends):
                raise ValueError(
                    f'guard rules: {name} is {ends!r}, expected (lowest, highest) accepted value, None for an open side'
                )
        object.__setattr__(self, 'ranges', {name: tuple(ends) for name, ends in self.ranges.items()})

    @classmethod
    def load(cls, path: str | Path) -> GuardRules:
        """Read the ``rules`` of a JSON file, as `tools/analysis_tools/calibrate_guard.py` writes it.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds no rules.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f'guard rules {path} do not exist; tools/analysis_tools/calibrate_guard.py writes them from the '
                'results of validation images'
            )
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f'{path} is no JSON file ({error}); calibrate the guard again') from error
        rules = content.get('rules') if isinstance(content, dict) else None
        if not isinstance(rules, dict):
            raise ValueError(f'{path} holds no "rules", expected {{"rules": {{"agreement": [0.5, null]}}}}')
        return cls(rules)

    def accept(self, measures: Mapping):
        """Judge masks.

        Args:
            measures (Mapping): For each measure of ``ranges`` its values: all Tensors, or all arrays, of one shape.
                NaN lies in no range.

        Returns:
            Tensor | np.ndarray | bool: True where a refined mask is believed; True alone without ranges.
        """
        return reduce(and_, (_inside(measures[name], *ends) for name, ends in self.ranges.items()), True)


def _inside(values, low: float | None, high: float | None):
    inside = values == values  # not NaN
    if low is not None:
        inside = inside & (values >= low)
    return inside if high is None else inside & (values <= high)


def _is_range(ends) -> bool:
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return False
    given = [end for end in ends if end is not None]
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) and end == end for end in given):
        return False
    return given == sorted(given)
