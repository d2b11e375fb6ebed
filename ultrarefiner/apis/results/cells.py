"""How numbers and names are written in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from ...evaluation.interval_table import IMAGE
from ...evaluation.metric import METRICS
from ..report.tables import DASH
from .differences import Difference
from .runs import StoredRuns

SHOWN = ('Dice', 'IoU', 'Precision', 'Recall', 'Accuracy', 'HD95', 'BoundaryIoU')
NAMES = dict(busi='BUSI', busbra='BUS-BRA', busi_busbra='BUSI and BUS-BRA')
TITLES = dict(BoundaryIoU='Boundary IoU')
MINUS = '\N{MINUS SIGN}'


def name_of(dataset: str) -> str:
    """A dataset's name for people."""
    return NAMES.get(dataset, dataset)


def in_order(datasets: Iterable[str]) -> list[str]:
    """Those of `NAMES` first, as they come there, then the others by name."""
    known = list(NAMES)
    return sorted(datasets, key=lambda name: (known.index(name) if name in known else len(known), name))


def title_of(metric: str) -> str:
    """A metric's name with its unit."""
    unit = METRICS[metric].unit
    return TITLES.get(metric, metric) + (f' ({unit})' if unit else '')


def digits_of(metric: str) -> int:
    """As many as say something: a tenth of a pixel, or four of a share."""
    return 1 if METRICS[metric].unit == 'px' else 4


def number(value: float, metric: str = 'Dice', sign: str = '') -> str:
    """A value in the digits of its metric; a dash where it is not known."""
    if not math.isfinite(value):
        return DASH
    digits = digits_of(metric)
    text = f'{value:{sign}.{digits}f}'
    if not float(text):  # no sign on what is 0 in these digits
        text = f'{0:.{digits}f}'
    return text.replace('-', MINUS)


def change(value: float, low: float, high: float, metric: str = 'Dice') -> str:
    """A change with its interval, bold where that leaves out 0: **+0.0123** [+0.0051, +0.0190]."""
    ends = f' [{number(low, metric, "+")}, {number(high, metric, "+")}]' if math.isfinite(low + high) else ''
    shown = number(value, metric, '+')
    return f'**{shown}**{ends}' if low * high > 0 else f'{shown}{ends}'


def change_of(found: Difference, metric: str = 'Dice') -> str:
    """`change` of a difference."""
    return change(found.mean, *found.interval, metric)


def mean_and_deviation(values: pd.Series, metric: str) -> str:
    """Mean and standard deviation of the seeds; of one seed the mean alone."""
    mean = number(values.mean(), metric)
    return f'{mean} ± {number(values.std(), metric)}' if len(values) > 1 else mean


def listed(seeds: Sequence[int]) -> str:
    """'seed 0', or 'seeds 0, 1, 2'."""
    return f'seed{"s" * (len(seeds) > 1)} {", ".join(map(str, seeds))}'


def counted(count: int, what: str) -> str:
    """'1 image', '2 images'."""
    return f'{count} {what}{"s" * (count != 1)}'


def facts(runs: StoredRuns, training_set: str, test_set: str, images: pd.DataFrame) -> str:
    """How many images, groups and seeds a table is about: a sentence's beginning, without a full stop."""
    pictures = images[IMAGE].drop_duplicates()
    groups = len(set(runs.groups(training_set, test_set, pictures)))
    seeds = runs.seeds(training_set, test_set)
    return (
        f'Trained on {name_of(training_set)}, tested on {counted(len(pictures), "image")} of {name_of(test_set)} in '
        f'{counted(groups, "group")}; {listed(seeds)}'
    )
