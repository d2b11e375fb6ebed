"""Means over images with their intervals: coarse, refined and what refining changed, of every metric."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .metric import METRICS
from .per_image_csv import STAGES, size_strata, win_tie_loss
from .statistics import bootstrap_interval, paired_test

IMAGE = ['dataset', 'name']


def mean_of_runs(rows: pd.DataFrame, by: tuple[str, ...] = (*IMAGE, 'class')) -> pd.DataFrame:
    """Average the rows of every image and class over the runs that measured it, or with ``by=IMAGE`` over classes too.

    Several folds that are tested on the same images are several measurements of an image, not more images.

    Args:
        rows (pd.DataFrame): Of `read_rows`, of one run or several, one below the other.
        by (tuple[str, ...]): What stays apart.

    Returns:
        pd.DataFrame: One row each, sorted, with ``by`` as columns and every number averaged; NaN if one is missing.
    """
    numbers = list(rows.select_dtypes('number'))
    grouped = rows.groupby(list(by), sort=True)[numbers]
    complete = grouped.count().eq(grouped.size(), axis=0)
    return grouped.mean().where(complete).reset_index()


def groups_of(images: pd.DataFrame, groups: Mapping[tuple[str, str], str]) -> list:
    """The group of each row by dataset and name; an image that is in no group is one of its own."""
    return [groups.get(image, image) for image in images[IMAGE].itertuples(index=False, name=None)]


def interval_table(images: pd.DataFrame, groups: Mapping[tuple[str, str], str] | None = None) -> pd.DataFrame:
    """The mean of each metric with its 95 % interval, and whether refining changed it.

    Args:
        images (pd.DataFrame): One row an image, of `mean_of_runs`.
        groups (Mapping, optional): The group of each image, by dataset and name; see `statistics`.

    Returns:
        pd.DataFrame: One row a metric, indexed by its name in the order of `METRICS`. Columns: for each stage that was
        measured, and 'delta', ``{stage}``, ``{stage}.low`` and ``{stage}.high``; ``p`` of `paired_test` of refined
        against coarse where there are both. What is not known is NaN.
    """
    grouped = groups_of(images, groups or {})
    table = {}
    for metric in METRICS:
        stages = [stage for stage in (*STAGES, 'delta') if f'{stage}/{metric}' in images]
        row = {}
        for stage in stages:
            values = images[f'{stage}/{metric}'].to_numpy(float)
            known = len(values) and np.isfinite(values).all()
            low, high = bootstrap_interval(values, grouped) if known else (np.nan, np.nan)
            row.update({stage: values.mean() if known else np.nan, f'{stage}.low': low, f'{stage}.high': high})
        if 'delta' in stages:
            pair = [images[f'{stage}/{metric}'].to_numpy(float) for stage in STAGES]
            row['p'] = paired_test(*pair, grouped) if np.isfinite(pair).all() else np.nan
        if row:
            table[metric] = row
    return pd.DataFrame.from_dict(table, orient='index')


def stratum_table(rows: pd.DataFrame, groups: Mapping[tuple[str, str], str] | None = None) -> pd.DataFrame:
    """Dice by the size of the lesion, and how often refining helped.

    Args:
        rows (pd.DataFrame): One row a class of an image, of `mean_of_runs`.
        groups (Mapping, optional): See `interval_table`.

    Returns:
        pd.DataFrame: One row for each of `size_strata` that has images, indexed by its name, then 'all'. Columns:
        ``rows``, their number; ``{stage}/Dice``; with two stages ``delta.low``, ``delta.high``, ``win``, ``tie`` and
        ``loss``; ``missed/{stage}`` and ``invented/{stage}``, how many masks, a mean over runs.
    """
    table = {}
    for name, part in {**size_strata(rows), 'all': rows}.items():
        if part.empty:
            continue
        stages = [stage for stage in (*STAGES, 'delta') if f'{stage}/Dice' in part]
        row = dict(rows=len(part), **{f'{stage}/Dice': part[f'{stage}/Dice'].mean() for stage in stages})
        if 'delta' in stages:
            low, high = bootstrap_interval(part['delta/Dice'].to_numpy(float), groups_of(part, groups or {}))
            row.update({'delta.low': low, 'delta.high': high}, **win_tie_loss(part))
        flags = [f'{flag}/{stage}' for flag in ('missed', 'invented') for stage in stages if stage != 'delta']
        row.update({flag: part[flag].sum() for flag in flags if flag in part})
        table[name] = row
    return pd.DataFrame.from_dict(table, orient='index')
