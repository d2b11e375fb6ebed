"""The tables of a report, written out: every cell as the page shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from ...evaluation.ablation_table import CellResult, ablation_table, metrics_of
from ...evaluation.interval_table import IMAGE, interval_table, mean_of_runs, stratum_table
from ...evaluation.metric import METRICS, Metric
from ...evaluation.per_image_csv import STAGES
from ...evaluation.table import GROUPS, with_arrow

Groups = Mapping[tuple[str, str], str]
DASH = '–'


def metric_rows(images: pd.DataFrame, groups: Groups) -> list[dict]:
    """One row a metric: ``name``, ``unit`` and, by stage, ``value``, ``interval`` and ``look``; ``p``."""
    rows = []
    table = interval_table(images, groups)
    for name, (_, row) in zip(table.index.astype(str), table.iterrows()):
        metric = METRICS[name]
        cells = {stage: _cell(row, stage, metric) for stage in (*STAGES, 'delta') if stage in row}
        rows.append(dict(name=name, unit=metric.unit, cells=cells, p=p_text(row.get('p', math.nan))))
    return rows


def stratum_rows(rows: pd.DataFrame, groups: Groups) -> list[dict]:
    """One row a lesion size: ``title``, ``count``, ``cells`` by stage, ``win``, ``tie``, ``loss``, ``empty``."""
    shown = []
    table = stratum_table(rows, groups)
    for name, (_, row) in zip(table.index.astype(str), table.iterrows()):
        dice = row.rename({f'{stage}/Dice': stage for stage in (*STAGES, 'delta')})
        cells = {stage: _cell(dice, stage, METRICS['Dice']) for stage in (*STAGES, 'delta') if stage in dice}
        stages = [stage for stage in STAGES if stage in cells]
        empty = [_count(row.get(f'missed/{stage}', 0) + row.get(f'invented/{stage}', 0)) for stage in stages]
        counts = {key: int(row[key]) for key in ('win', 'tie', 'loss') if key in row}
        shown.append(dict(title=GROUPS[name], count=int(row['rows']), cells=cells, empty=' → '.join(empty), **counts))
    return shown


def run_rows(runs: Sequence[tuple[str, pd.DataFrame]]) -> list[dict]:
    """One row a run of an experiment: ``label``, ``images`` and the mean Dice by stage; then the mean of the means."""
    means = []
    for label, rows in runs:
        images = mean_of_runs(rows, tuple(IMAGE))
        stages = [stage for stage in (*STAGES, 'delta') if f'{stage}/Dice' in images]
        means.append(dict(label=label, images=len(images), **{s: images[f'{s}/Dice'].mean() for s in stages}))
    frame = pd.DataFrame(means)
    shown = [dict(label=row['label'], images=row['images'], cells=_plain_cells(row)) for row in means]
    cells = {}
    for stage in (*STAGES, 'delta'):
        if stage in frame:
            sign = '+' if stage == 'delta' else ''
            cells[stage] = dict(value=_minus(f'{frame[stage].mean():{sign}.4f} ± {frame[stage].std():.4f}'), look='')
    return [*shown, dict(label='mean ± standard deviation', images='', cells=cells)]


def comparison(experiments: Sequence[tuple[str, pd.DataFrame, Sequence[dict]]], groups: Groups) -> dict | None:
    """Compare experiments on the images that all of them measured.

    Args:
        experiments (Sequence[tuple[str, pd.DataFrame, Sequence[dict]]]): Label, rows and costs of each; the others are
            compared with the first.
        groups (Groups): The group of each image.

    Returns:
        dict | None: ``images``, their number; ``metrics`` and ``rows``; ``compared``, the stage that differences are
        about; None where no image is common to all.
    """
    common = set.intersection(*({*_keys(rows)} for _, rows, _ in experiments))
    if not common:
        return None
    results = []
    for label, rows, costs in experiments:
        kept = rows[[key in common for key in _keys(rows)]]
        results.append(CellResult(label, {}, kept, list(costs)))
    table = ablation_table(results, experiments[0][0], groups)
    metrics = [name for name in metrics_of(table) if name in METRICS]
    shown = []
    for _, row in table.iterrows():
        cells = {}
        for name in metrics:
            stage = 'refined' if math.isfinite(row.get(f'refined/{name}', math.nan)) else 'coarse'
            cells[name] = _cell(row, f'{stage}/{name}', METRICS[name])
        gain = row.rename({f'delta/Dice{end}': f'delta{end}' for end in ('', '.low', '.high')})
        shown.append(
            dict(
                label=row['cell'],
                cells=cells,
                gain=_cell(gain, 'delta', METRICS['Dice']),
                difference=_cell(row, 'difference', METRICS['Dice']),
                p=p_text(row['p_holm']),
                parameters=_maybe(row['parameters'], 1e6, ' M'),
                minutes=_maybe(row['seconds'], 60, ' min'),
            )
        )
    return dict(images=len(common), metrics=metrics, rows=shown, base=experiments[0][0], compared=table['compared'][0])


def p_text(p: float) -> str:
    """A p-value to three digits."""
    return DASH if not math.isfinite(p) else '<0.001' if p < 0.001 else f'{p:.3f}'


def _look(delta: float, metric: Metric) -> str:
    """'better', 'worse' or 'same', at the digits that are shown."""
    rounded = round(delta, metric.digits)
    return 'same' if not rounded else 'better' if (rounded > 0) == metric.higher_is_better else 'worse'


def _cell(row: pd.Series, key: str, metric: Metric) -> dict:
    """A value with its interval; a change with its sign and direction, coloured if the interval excludes 0."""
    value, low, high = (row.get(f'{key}{end}', math.nan) for end in ('', '.low', '.high'))
    if not math.isfinite(value):
        return dict(value=DASH, interval='', look='')
    is_change = key in ('delta', 'difference')
    sign = '+' if is_change else ''
    to = ' to ' if is_change else '\N{EN DASH}'
    known = math.isfinite(low) and math.isfinite(high)
    return dict(
        value=_minus(with_arrow(value, metric)) if is_change else f'{value:.{metric.digits}f}',
        interval=_minus(f'{low:{sign}.{metric.digits}f}{to}{high:{sign}.{metric.digits}f}') if known else '',
        look=_look(value, metric) if is_change and known and low * high > 0 else '',
    )


def _plain_cells(row: dict) -> dict:
    cells = {stage: dict(value=f'{row[stage]:.4f}', look='') for stage in STAGES if stage in row}
    if 'delta' in row:
        cells['delta'] = dict(value=_minus(with_arrow(row['delta'])), look='')
    return cells


def _minus(text: str) -> str:
    return text.replace('-', '\N{MINUS SIGN}')


def _keys(rows: pd.DataFrame) -> list[tuple]:
    return list(rows[IMAGE].itertuples(index=False, name=None))


def _count(value: float) -> str:
    return f'{value:.0f}' if value == round(value) else f'{value:.1f}'


def _maybe(value: float, unit: float, name: str) -> str:
    return f'{value / unit:.2f}{name}' if math.isfinite(value) else DASH
