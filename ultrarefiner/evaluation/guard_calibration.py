"""Calibrating a guard: the ranges of its measures that raise the mean Dice, and the gain to expect on other images.

A guard is fitted one bound after the other, each time the one that gains most. How many bounds it gets is chosen by
cross-validation, and what that whole procedure gains by a second cross-validation around it, on images that had no part
in any choice; the gain on the images that a guard was fitted to is never reported.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..utils.guard_rules import GuardRules
from .statistics import bootstrap_interval

FOLDS = 5
REPEATS = 5
MOST_BOUNDS = 3
FEWEST_GROUPS = 20
# The column of per-image results that holds a measure as it is; the area ratio is made of two.
COLUMNS = dict(agreement='change/IoU', components='components/refined', predicted_iou='predicted_iou')
# Which bounds of a measure make sense: 1 a lowest value, -1 a highest. That a mask agrees too well is no reason.
SIDES = dict(agreement=(1,), area_ratio=(1, -1), components=(-1,), predicted_iou=(1,))


@dataclass(frozen=True)
class Calibration:
    """A guard, and what it is worth.

    Attributes:
        rules: Without ranges where no guard is better than none.
        gain: Mean Dice that guarding adds, cross-validated; of the procedure, also where it ends with no guard.
        interval: Confidence interval of the gain.
        level: Its confidence level.
    """

    rules: GuardRules
    gain: float
    interval: tuple[float, float]
    level: float


def guard_measures(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The measures that a guard can look at, one value a row.

    Args:
        rows (pd.DataFrame): From `read_rows`.

    Returns:
        dict[str, np.ndarray]: By name of `MEASURES`; a measure that some row lacks is left out.
    """
    columns = {name: rows[column] for name, column in COLUMNS.items() if column in rows}
    measures = {name: pd.to_numeric(values, errors='coerce').to_numpy(float) for name, values in columns.items()}
    before, after = rows['area/coarse'].to_numpy(float), rows['area/refined'].to_numpy(float)
    with np.errstate(divide='ignore', invalid='ignore'):
        measures['area_ratio'] = np.where(before == after, 1.0, after / before)
    return {name: values for name, values in sorted(measures.items()) if not np.isnan(values).any()}


def calibrate(
    measures: dict[str, np.ndarray],
    coarse: np.ndarray,
    refined: np.ndarray,
    groups: Sequence[Hashable],
    level: float = 0.95,
    seed: int = 0,
    track: Callable[[Sequence], Iterable] = iter,
) -> Calibration:
    """Fit a guard, and drop it unless its cross-validated gain is above 0 with confidence.

    Args:
        measures (dict[str, np.ndarray]): (R, ) each, by name of `MEASURES`.
        coarse (np.ndarray): (R, ) Dice of the coarse mask.
        refined (np.ndarray): (R, ) Dice of the refined mask.
        groups (Sequence[Hashable]): What each row belongs to, an image or better a patient; rows of one group are never
            on both sides of a cross-validation.
        level (float): Confidence level, in (0, 1). Defaults to 0.95.
        seed (int): The same data and seed give the same guard. Defaults to 0.
        track (Callable): Wraps the list of repeats, to show progress.

    Raises:
        ValueError: If there are fewer than 20 groups.
    """
    index = pd.factorize(pd.Series(list(groups)))[0]
    if index.max() + 1 < FEWEST_GROUPS:
        raise ValueError(
            f'{index.max() + 1} images or patients, expected at least {FEWEST_GROUPS} to calibrate a guard; give the '
            'results of more folds'
        )
    benefit = coarse - refined
    rng = np.random.default_rng(seed)
    gains = np.mean([_unseen_gains(measures, benefit, index, rng) for _ in track(range(REPEATS))], axis=0)
    interval = bootstrap_interval(gains, index, level, seed=seed)
    rules = _fit_chosen(measures, benefit, index, rng) if interval[0] > 0 else GuardRules({})
    return Calibration(rules, float(gains.mean()), interval, level)


def fit_guards(measures: dict[str, np.ndarray], benefit: np.ndarray) -> list[GuardRules]:
    """Guards with 0, 1, ... bounds, each the one before and the bound that adds the greatest benefit.

    Args:
        measures (dict[str, np.ndarray]): (R, ) each, by name of `MEASURES`.
        benefit (np.ndarray): (R, ) what keeping the coarse mask adds to the score.

    Returns:
        list[GuardRules]: At most `MOST_BOUNDS` + 1, fewer where no further bound adds anything.
    """
    guards, accepted = [GuardRules({})], np.ones(len(benefit), bool)
    for _ in range(MOST_BOUNDS):
        bounds = [
            (*_best_bound(sign * values[accepted], benefit[accepted]), name, sign)
            for name, values in measures.items()
            for sign in SIDES[name]
        ]
        gain, bound, name, sign = max(bounds, key=lambda found: found[0])
        if gain <= 0:
            break
        low, high = guards[-1].ranges.get(name, (None, None))
        ends = (bound, high) if sign == 1 else (low, -bound)
        guards.append(GuardRules({**guards[-1].ranges, name: ends}))
        accepted = guards[-1].accept(measures)
    return guards


def _best_bound(values: np.ndarray, benefit: np.ndarray) -> tuple[float, float]:
    """The benefit of the best lower bound, and the bound: halfway to the next value below. (0, nan) without any."""
    order = np.argsort(values, kind='stable')
    values, gains = values[order], benefit[order].cumsum()
    below, above = values[:-1], values[1:]
    possible = np.where(above > below, gains[:-1], 0)
    if not len(possible) or possible.max() <= 0:
        return 0.0, np.nan
    best = possible.argmax()
    halfway = (below[best] + above[best]) / 2
    return float(possible[best]), float(halfway if np.isfinite(halfway) else above[best])


def _fit_chosen(measures: dict, benefit: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> GuardRules:
    """The guard with as many bounds as gain most on unseen groups; the fewest where several do."""
    gains = np.zeros(MOST_BOUNDS + 1)
    for train, test in _folds(groups, rng):
        guards = fit_guards(_of(measures, train), benefit[train])
        for count in range(len(gains)):
            gains[count] += _gains(guards[: count + 1][-1], _of(measures, test), benefit[test]).sum()
    return fit_guards(measures, benefit)[: gains.argmax() + 1][-1]


def _unseen_gains(measures: dict, benefit: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The gain (R, ) on each row, by a guard that was chosen and fitted without the row's fold."""
    gains = np.zeros(len(benefit))
    for train, test in _folds(groups, rng):
        guard = _fit_chosen(_of(measures, train), benefit[train], groups[train], rng)
        gains[test] = _gains(guard, _of(measures, test), benefit[test])
    return gains


def _folds(groups: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks (R, ) of the rows that train and test, with whole groups on either side."""
    parts = np.array_split(rng.permutation(np.unique(groups)), FOLDS)
    tests = [np.isin(groups, part) for part in parts]
    return [(~test, test) for test in tests]


def _gains(guard: GuardRules, measures: dict, benefit: np.ndarray) -> np.ndarray:
    return np.where(guard.accept(measures), 0.0, benefit)


def _of(measures: dict, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in measures.items()}
