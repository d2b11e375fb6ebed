"""The tables of a validation: coarse, refined and what refining changed, in all and by the size of the lesion."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from .metric import METRICS, Metric
from .per_image_csv import LARGE, SMALL, STAGES, TIE

DIRECTIONS = '↑ better, ↓ worse'
GROUPS = dict(
    none='none',
    small=f'small, < {SMALL:.0%}',
    medium=f'medium, to {LARGE:.0%}',
    large=f'large, > {LARGE:.0%}',
    present='any',
    all='all images',
)


def comparison_table(means: dict[str, float], caption: str, width: int = 100) -> str:
    """Draw the coarse / refined / delta table as plain text, for a terminal and a log file alike.

    Args:
        means (dict[str, float]): ``{stage}/{metric}`` for the stages 'coarse', 'refined' and 'delta' that there are,
            of metrics in `METRICS`.
        caption (str): What was measured, such as '129 images'.
        width (int): The widest the table may be, in characters. Defaults to 100.

    Returns:
        str: The table, several lines, without colour codes.
    """
    stages = [stage for stage in STAGES if f'{stage}/Dice' in means]
    has_delta = 'delta/Dice' in means
    shown = {name: metric for name, metric in METRICS.items() if f'{stages[0]}/{name}' in means}
    table = _table('Metric', *[stage.capitalize() for stage in stages], *['Delta'] * has_delta)
    for name, metric in shown.items():
        cells = [f'{means[f"{stage}/{name}"]:.{metric.digits}f}' for stage in stages]
        if has_delta:
            cells.append(with_arrow(means[f'delta/{name}'], metric))
        table.add_row(f'{name} ({metric.unit})' if metric.unit else name, *cells)
    if has_delta and not all(metric.higher_is_better for metric in shown.values()):
        caption = f'{caption}\n{DIRECTIONS}'
    return _draw(table, caption, width)


def size_table(summary: dict[str, dict], caption: str, width: int = 100) -> str:
    """Draw Dice by the size of the lesion, and how often refining helped, as plain text.

    Args:
        summary (dict[str, dict]): Of `summarise_class`.
        caption (str): What was measured, such as 'Dice of malignant'.
        width (int): The widest the table may be, in characters. Defaults to 100.

    Returns:
        str: The table, several lines, without colour codes.
    """
    means = summary['all']['means']
    stages = [stage for stage in STAGES if f'{stage}/Dice' in means]
    has_delta = 'delta/Dice' in means
    titles = ['Delta', 'Win / tie / loss'] if has_delta else []
    table = _table('Lesion', 'Images', *[stage.capitalize() for stage in stages], *titles, 'One empty')
    for name, title in GROUPS.items():
        group = summary[name]
        if not group['images'] or (name == 'present' and not summary['none']['images']):
            continue
        cells = [f'{group["means"][f"{stage}/Dice"]:.4f}' for stage in stages]
        if has_delta:
            cells.append(with_arrow(group['means']['delta/Dice']))
            cells.append(' / '.join(str(group['win_tie_loss'][key]) for key in ('win', 'tie', 'loss')))
        one_empty = [str(group['missed'][stage] + group['invented'][stage]) for stage in stages]
        table.add_row(title, str(group['images']), *cells, ' → '.join(one_empty))
    notes = [caption, *[f'tie: changed by less than {TIE}'] * has_delta, 'one empty: missed, or nothing was there']
    return _draw(table, '; '.join(notes), width)


def with_arrow(delta: float, metric: Metric = METRICS['Dice']) -> str:
    """Write a change with its sign and an arrow up where it is better: ``+0.0700 ↑``, ``-0.0120 ↓``, ``0.0000 =``.

    A smaller distance is better: a change of HD95 by -2.5 pixels is ``-2.50 ↑``.
    """
    rounded = round(delta, metric.digits)
    if rounded == 0:
        return f'{0:.{metric.digits}f} ='
    return f'{rounded:+.{metric.digits}f} {"↑" if (rounded > 0) == metric.higher_is_better else "↓"}'


def _table(first: str, *titles: str) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column(first)
    for title in titles:
        table.add_column(title, justify='right')
    return table


def _draw(table: Table, caption: str, width: int) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False)
    console.print(Panel.fit(Group(table, Padding(caption, (0, 2))), box=box.SQUARE))
    return text.getvalue().rstrip('\n')
