"""The table of an ablation: one row a cell, with intervals, tests against the base cell, and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .per_image_csv import STAGES
from .statistics import bootstrap_interval, holm, paired_test

SHOWN = ('Dice', 'IoU', 'HD95')
COSTS = ('parameters', 'trainable', 'seconds', 'seconds_per_iteration', 'peak_memory')
IMAGE = ['dataset', 'name']


@dataclass(frozen=True)
class CellResult:
    """What the runs of one cell gave.

    Args:
        label (str): The cell's name.
        choices (dict[str, str]): Its value on each axis.
        rows (pd.DataFrame, optional): The rows of `read_rows` of all its finished runs, one below the other.
        costs (list[dict]): Of `training_cost`, of every finished run that knows them.
        runs (int): The number of runs that were asked for.
        finished (int): How many of them are done.
        failure (str, optional): Why one of them failed.
    """

    label: str
    choices: dict[str, str] = field(default_factory=dict)
    rows: pd.DataFrame | None = None
    costs: list[dict] = field(default_factory=list)
    runs: int = 1
    finished: int = 1
    failure: str | None = None

    def images(self) -> pd.DataFrame:
        """One row an image, indexed by dataset and name: the mean over classes, and over seeds and folds if several."""
        columns = [f'{stage}/{name}' for stage in (*STAGES, 'delta') for name in SHOWN]
        columns = [column for column in columns if self.rows is not None and column in self.rows]
        if not columns:
            return pd.DataFrame()
        return self.rows.groupby(IMAGE)[columns].mean()

    def status(self) -> str:
        """'done', 'failed' or 'not run', with the number of runs where it is not all of them."""
        if self.finished == self.runs:
            return 'done'
        missing = 'not run' if self.failure is None else 'failed'
        return f'{self.runs - self.finished} of {self.runs} {missing}' if self.finished else missing


def ablation_table(
    results: Sequence[CellResult], base: str, groups: Mapping[tuple[str, str], str] | None = None
) -> pd.DataFrame:
    """Compare the cells of an ablation.

    Every value is a mean over images: an image's own value is first averaged over classes and seeds (and over folds,
    where several models saw it), and the validation images of all folds are pooled. Intervals are `bootstrap_interval`
    with 95 %, p-values `paired_test` against the base cell on the images that both have, adjusted with `holm` over all
    cells that were compared.

    Args:
        results (Sequence[CellResult]): One a cell.
        base (str): The label of the cell that the others are compared with.
        groups (Mapping, optional): The group of each image, by dataset and name; see `statistics`.

    Returns:
        pd.DataFrame: A row a cell. Columns: ``cell`` and its value on each axis; ``images``; ``{stage}/{metric}`` with
        ``.low`` and ``.high``; ``compared``, the column that ``difference`` (cell minus base) with ``.low`` and
        ``.high``, ``p`` and ``p_holm`` are about; the costs, a mean over runs, and ``peak_memory`` their largest;
        ``status``, and ``failure``, the reason. What is not known is missing.

    Raises:
        ValueError: If no cell has the label ``base``.
    """
    images = {result.label: result.images() for result in results}
    if base not in images:
        raise ValueError(f'there is no cell {base!r} to compare with; there are {"; ".join(images)}')
    compared = 'refined/Dice' if any('refined/Dice' in frame for frame in images.values()) else 'coarse/Dice'
    rows = []
    for result in results:
        frame = images[result.label]
        row = dict(cell=result.label, **result.choices, images=len(frame))
        for column in frame:
            row.update(_with_interval(column, frame[column], groups))
        row['compared'] = compared
        if result.label != base and compared in frame and compared in images[base]:
            row.update(_against(frame[compared], images[base][compared], groups))
        row.update(_mean_costs(result.costs), status=result.status(), failure=result.failure)
        rows.append(row)
    table = pd.DataFrame(rows)
    known = ('difference', 'difference.low', 'difference.high', 'p', *COSTS)
    table = table.assign(**{column: np.nan for column in known if column not in table})
    table['p_holm'] = holm(table['p'])
    return table[[*table.columns[: list(table).index('images')], *_in_order(table)]]


def metrics_of(table: pd.DataFrame) -> list[str]:
    """The metrics that a table has."""
    return [name for name in SHOWN if stages_of(table, name)]


def stages_of(table: pd.DataFrame, metric: str) -> list[str]:
    """The stages of which a table has a metric, with 'delta'."""
    return [stage for stage in (*STAGES, 'delta') if f'{stage}/{metric}' in table]


def _with_interval(name: str, values: pd.Series, groups: Mapping | None) -> dict[str, float]:
    if values.isna().any():  # a mean over the others would hide it
        return {}
    low, high = bootstrap_interval(values.to_numpy(), _groups_of(values, groups))
    return {name: values.mean(), f'{name}.low': low, f'{name}.high': high}


def _against(values: pd.Series, base: pd.Series, groups: Mapping | None) -> dict[str, float]:
    pairs = pd.concat([values, base], axis=1, join='inner', keys=['cell', 'base'])
    if pairs.empty:
        return {}
    p = paired_test(pairs['cell'].to_numpy(), pairs['base'].to_numpy(), _groups_of(pairs, groups))
    return {**_with_interval('difference', pairs['cell'] - pairs['base'], groups), 'p': p}


def _groups_of(images: pd.Series | pd.DataFrame, groups: Mapping | None) -> list:
    """The group of each image; an image that is in no group is one of its own."""
    return [(groups or {}).get(image, image) for image in images.index]


def _mean_costs(costs: list[dict]) -> dict[str, float]:
    if not costs:
        return {}
    frame = pd.DataFrame(costs).reindex(columns=COSTS).astype(float)
    return {**frame.mean().to_dict(), 'peak_memory': frame['peak_memory'].max()}


def _in_order(table: pd.DataFrame) -> list[str]:
    values = [f'{stage}/{name}' for name in metrics_of(table) for stage in stages_of(table, name)] + ['difference']
    with_ends = [f'{value}{end}' for value in values for end in ('', '.low', '.high')]
    return ['images', *with_ends, 'compared', 'p', 'p_holm', *COSTS, 'status', 'failure']
