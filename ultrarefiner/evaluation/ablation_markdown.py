"""The table of an ablation as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .ablation_table import metrics_of, stages_of
from .markdown_table import markdown_table
from .metric import METRICS

COST_HEADS = ('Parameters', 'Trainable', 'Training time', 'Time / iteration', 'Peak memory')


def ablation_markdown(table: pd.DataFrame, title: str, base: str, facts: Sequence[str]) -> str:
    """Write the table for people: what each cell gives and costs, then every metric with its intervals.

    Args:
        table (pd.DataFrame): From `ablation_table`.
        title (str): Heading.
        base (str): The label of the base cell.
        facts (Sequence[str]): What was done, a line each.

    Returns:
        str: GitHub's Markdown.
    """
    lines = [f'# {title}', '', *(f'- {fact}' for fact in facts), '']
    lines.append(markdown_table(*summary(table, base)))
    failed = table[table['failure'].notna()]
    if len(failed):
        lines += ['', *(f'- {row["cell"]} failed: {row["failure"]}' for _, row in failed.iterrows())]
    for name in metrics_of(table):
        metric = METRICS[name]
        unit = f' in {metric.unit}' if metric.unit else ''
        direction = 'larger' if metric.higher_is_better else 'smaller'
        lines += ['', f'## {name}{unit}, {direction} is better, with 95 % intervals', '']
        stages = stages_of(table, name)
        body = [[row['cell'], *(_value(row, f'{stage}/{name}') for stage in stages)] for _, row in table.iterrows()]
        lines.append(markdown_table(['Cell', *map(str.capitalize, stages)], body))
    return '\n'.join(lines) + '\n'


def summary(table: pd.DataFrame, base: str) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows, as text, of what each cell gives in the metric that is compared, and what it costs."""
    compared, name = table['compared'].iloc[0].split('/')
    stages = stages_of(table, name)
    heads = ['Cell', 'Images', *(f'{stage.capitalize()} {name}' for stage in stages)]
    heads += [f'{compared.capitalize()} {name} minus base', 'p', 'p (Holm)', *COST_HEADS, 'Status']
    body = []
    for _, row in table.iterrows():
        cells = [f'{row["cell"]} (base)' if row['cell'] == base else row['cell'], str(row['images'])]
        cells += [_value(row, f'{stage}/{name}', interval=False) for stage in stages]
        cells += [_value(row, 'difference', name), _p(row['p']), _p(row['p_holm']), *_costs(row), row['status']]
        body.append(cells)
    return heads, body


def _value(row: pd.Series, column: str, name: str | None = None, interval: bool = True) -> str:
    """A mean with its interval, a change with its sign; nothing where it is not known."""
    if pd.isna(row[column]):
        return ''
    digits = METRICS[name or column.split('/')[1]].digits
    sign = '+' if column.startswith(('delta', 'difference')) else ''
    mean, *ends = (f'{row[column + end]:{sign}.{digits}f}' for end in ('', '.low', '.high'))
    return f'{mean} [{", ".join(ends)}]' if interval else mean


def _p(value: float) -> str:
    if pd.isna(value):
        return ''
    return '< 0.001' if value < 0.001 else f'{value:.3f}'


def _costs(row: pd.Series) -> list[str]:
    """One text for each of `COST_HEADS`."""
    formats = dict(
        parameters=lambda count: f'{count:,.0f}',
        trainable=lambda count: f'{count:,.0f}',
        seconds=lambda seconds: f'{seconds:.0f} s',
        seconds_per_iteration=lambda seconds: f'{1000 * seconds:.0f} ms',
        peak_memory=lambda size: f'{size / 2**30:.2f} GiB',
    )
    return ['' if pd.isna(row[name]) else form(row[name]) for name, form in formats.items()]
