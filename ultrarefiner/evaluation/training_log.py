"""What a training logged: mmengine's scalars, of all parts of a training that was resumed, as one table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from .metric import METRICS
from .per_image_csv import STAGES

SCALARS = 'vis_data/scalars.json'
INDEX = ('kind', 'epoch', 'iter')
LEARNING_RATE = 'lr'
COSTS = ('time', 'data_time', 'memory')


def read_training_log(work_dir: str | Path) -> pd.DataFrame:
    """Read the scalars of a work directory, ``{work_dir}/{time of the start}/vis_data/scalars.json``.

    A training that was resumed has several such folders. They are joined: where a later one did iterations again that
    an earlier one had done after its last checkpoint, those of the later count.

    Args:
        work_dir (str | Path): Of a training; one of its folders, or the file itself, reads that part alone.

    Returns:
        pd.DataFrame: A row each time something was logged, in the order of the training, index 0 to n - 1. Columns:

        - ``kind`` (str): 'train' for a mean over the last iterations, 'val' for a validation.
        - ``epoch`` (int): From 1; the epoch that the iteration is of, or that was over when it was validated. Absent in
          a training that counts no epochs.
        - ``iter`` (int): Iterations done, over all epochs; of a validation that of the last row of 'train' before it.
        - One column for every key that was logged, float, NaN in rows that have no such value: ``loss``,
          ``loss_{stage}_{class}``, ``lr``, ``grad_norm``, ``time`` and ``data_time`` (seconds an iteration), ``memory``
          (MiB, of a GPU) in rows of 'train'; ``{stage}/{metric}`` with the stages 'coarse', 'refined' and 'delta' in
          rows of 'val'.

    Raises:
        FileNotFoundError: If nothing was logged there.
        ValueError: If a file is no log of scalars, or is empty.
    """
    log = pd.DataFrame()
    for path in _scalar_files(Path(work_dir)):
        part = _read_part(path)
        if len(log) and len(part):
            log = log[~_done_again(log, part)]
        log = pd.concat([log, part], ignore_index=True)
    if log.empty:
        raise ValueError(f'{work_dir}: nothing is logged yet; wait for the first iterations of the training')
    first = [name for name in INDEX if name in log]
    return log[[*first, *(name for name in log if name not in first)]]


def loss_keys(log: pd.DataFrame) -> list[str]:
    """The columns that are losses, 'loss' itself, their sum, first."""
    return sorted((name for name in log if name.startswith('loss')), key=lambda name: (name != 'loss', name))


def metric_keys(log: pd.DataFrame) -> dict[str, list[str]]:
    """The validation's metrics, in the order of `METRICS`: the columns of each, coarse, refined and delta."""
    columns = {metric: [f'{stage}/{metric}' for stage in (*STAGES, 'delta')] for metric in METRICS}
    found = {metric: [name for name in names if name in log] for metric, names in columns.items()}
    return {metric: names for metric, names in found.items() if names}


def best_row(log: pd.DataFrame, key: str | None = None) -> pd.Series | None:
    """The validation with the best value of a metric, the first among equals; None where nothing was validated.

    Args:
        log (pd.DataFrame): From `read_training_log`.
        key (str, optional): ``{stage}/{metric}``; larger is better, but for distances. Defaults to `default_metric`.
    """
    key = key or default_metric(log)
    if key is None or key not in log or log[key].isna().all():
        return None
    metric = METRICS.get(key.rpartition('/')[2])
    larger = metric is None or metric.higher_is_better
    return log.loc[log[key].idxmax() if larger else log[key].idxmin()]


def default_metric(log: pd.DataFrame) -> str | None:
    """What a training is judged by: 'refined/Dice', without a refiner 'coarse/Dice', None without a validation."""
    return next((key for key in (f'{stage}/Dice' for stage in reversed(STAGES)) if key in log), None)


def _scalar_files(path: Path) -> list[Path]:
    """The files of scalars, by the time at which they were begun."""
    if path.is_file():
        return [path]
    files = sorted(path.glob(f'*/{SCALARS}')) or sorted(path.glob(SCALARS)) or sorted(path.glob('scalars.json'))
    if not files:
        what = 'holds no training log' if path.is_dir() else 'does not exist'
        raise FileNotFoundError(
            f'{path} {what}; expected the work directory of a training, with {{start}}/{SCALARS} in it'
        )
    return files


def _read_part(path: Path) -> pd.DataFrame:
    rows, done, counts_epochs = [], 0, False
    for number, entry in enumerate(_entries(path), start=1):
        step = entry.pop('step', None)
        if 'iter' in entry:
            done, counts_epochs = int(entry['iter']), 'epoch' in entry
            rows.append(dict(kind='train', **entry))
        elif step is None:
            raise ValueError(f'{path}: line {number} has no step; expected the scalars that a training logs')
        elif counts_epochs:
            rows.append(dict(kind='val', epoch=step, iter=done, **entry))
        else:
            rows.append(dict(kind='val', iter=step, **entry))
    return pd.DataFrame(rows)


def _entries(path: Path) -> Sequence[dict]:
    lines = path.read_text().strip().splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) and number > 1:  # The process was stopped while it wrote.
                break
            raise ValueError(f'{path}: line {number} is no JSON; expected the scalars that a training logs') from error
        if not isinstance(entry, dict):
            raise ValueError(f'{path}: line {number} is no JSON object; expected the scalars that a training logs')
        entries.append(entry)
    return entries


def _done_again(log: pd.DataFrame, later: pd.DataFrame) -> pd.Series:
    """Which rows of a log, (rows, ) bool, are of iterations that a later part did again."""
    trained = later.loc[later['kind'] == 'train', 'iter']
    return log['iter'] >= (trained.iloc[0] if len(trained) else math.inf)
