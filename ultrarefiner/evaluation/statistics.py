"""Statistics of per-image results: intervals, a paired test, and the correction for many tests.

Images of one patient are alike, so what is drawn again and what is flipped are groups of images (the ``groups`` of
``splits.json``), never single images; every image still has the same weight in the mean. Without groups each image is
a group of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import stats

RESAMPLES = 4999


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """A confidence interval of the mean over images, by the bootstrap over groups of images.

    Whole groups are drawn with replacement; the interval is bias-corrected and accelerated (BCa; Efron 1987, Journal of
    the American Statistical Association 82:171), by `scipy.stats.bootstrap`.

    Args:
        values (Sequence[float]): One value an image, finite.
        groups (Sequence[Hashable], optional): The group of each image.
        level (float): Confidence level, in (0, 1). Defaults to 0.95.
        resamples (int): Number of resamples.
        seed (int): The same data and seed give the same interval. Defaults to 0.

    Returns:
        tuple[float, float]: Lower and upper end; both NaN where there are fewer than two groups, both the mean where
        all groups have the same one.

    Raises:
        ValueError: If there are no values, one is not finite, or the groups are not as many.
    """
    sums, counts = _by_group(values, groups)
    if len(sums) < 2:
        return float('nan'), float('nan')
    means = sums / counts
    if np.ptp(means) <= 1e-12 * np.abs(means).max():
        return float(means[0]), float(means[0])
    with warnings.catch_warnings():
        # With very few groups every resample may have the same mean; the NaN ends say so.
        warnings.simplefilter('ignore', stats.DegenerateDataWarning)
        result = stats.bootstrap(
            (sums, counts),
            _pooled_mean,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=level,
            method='BCa',
            random_state=np.random.default_rng(seed),
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired_test(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """The two-sided p-value that the mean of ``first - second`` over images is 0, by a paired permutation test.

    If the two are interchangeable, the sign of a group's difference is as likely to be the other one. The signs of
    whole groups are flipped: all combinations where there are at most ``resamples`` of them, else that many at random.
    Unlike the signed-rank test this is a test of the very number that a table shows, the difference of the means.

    Args:
        first (Sequence[float]): One value an image, finite.
        second (Sequence[float]): As many, of the same images in the same order.
        groups (Sequence[Hashable], optional): The group of each image.
        resamples (int): Most sign combinations that are tried; the smallest p-value is 2 / (resamples + 1).
        seed (int): The same data and seed give the same value. Defaults to 0.

    Returns:
        float: In (0, 1]; 1 where there is no difference at all, or one group only, whose sign says nothing.

    Raises:
        ValueError: If there are no values, one is not finite, or the numbers of values or groups differ.
    """
    if len(first) != len(second):
        raise ValueError(f'paired_test: {len(first)} and {len(second)} values, expected those of the same images')
    sums, _ = _by_group(np.asarray(first, float) - np.asarray(second, float), groups)
    if len(sums) < 2 or not sums.any():
        return 1.0
    result = stats.permutation_test(
        (sums,),
        np.sum,
        permutation_type='samples',
        vectorized=True,
        n_resamples=resamples,
        random_state=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p-values for many tests, so that the chance of one false finding among all of them stays at the level.

    Holm's step-down rule (1979, Scandinavian Journal of Statistics 6:65): the i-th smallest of m is multiplied by
    m - i + 1, and none may be smaller than the one before it. NaN is no test: it does not count and stays.

    Args:
        p_values (Sequence[float]): In [0, 1], or NaN.

    Returns:
        np.ndarray: The adjusted p-values, in the same order.
    """
    adjusted = np.array(p_values, dtype=float)
    tests = np.flatnonzero(~np.isnan(adjusted))
    order = tests[np.argsort(adjusted[tests], kind='stable')]
    scaled = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def _pooled_mean(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis) / counts.sum(axis)


def _by_group(values: Sequence[float], groups: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """The sum and the number of the values of each group."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f'expected finite values, one an image, got the shape {values.shape} with '
            f'{int((~np.isfinite(values)).sum())} values that are not finite'
        )
    if groups is None:
        return values, np.ones(len(values))
    if len(groups) != len(values):
        raise ValueError(f'{len(groups)} groups for {len(values)} images; every image needs one')
    # Names in the order of their first image: the same result whatever type they have.
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    index = [numbers[name] for name in groups]
    return np.bincount(index, weights=values), np.bincount(index).astype(float)
