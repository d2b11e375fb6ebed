"""The table of a validation: coarse, refined and what refining changed."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from .overlap import METRICS


def comparison_table(means: dict[str, float], caption: str, width: int = 100) -> str:
    """Draw the coarse / refined / delta table as plain text, for a terminal and a log file alike.

    Args:
        means (dict[str, float]): ``{stage}/{metric}`` for the stages 'coarse', 'refined' and 'delta' that there are.
        caption (str): What was measured, such as '129 images'.
        width (int): The widest the table may be, in characters. Defaults to 100.

    Returns:
        str: The table, several lines, without colour codes.
    """
    stages = [stage for stage in ('coarse', 'refined') if f'{stage}/{METRICS[0]}' in means]
    has_delta = f'delta/{METRICS[0]}' in means
    table = Table(box=None, padding=(0, 2))
    table.add_column('Metric')
    for title in [stage.capitalize() for stage in stages] + ['Delta'] * has_delta:
        table.add_column(title, justify='right')
    for metric in METRICS:
        cells = [f'{means[f"{stage}/{metric}"]:.4f}' for stage in stages]
        if has_delta:
            cells.append(with_arrow(means[f'delta/{metric}']))
        table.add_row(metric, *cells)
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, highlight=False)
    console.print(Panel.fit(Group(table, Padding(caption, (0, 2))), box=box.SQUARE))
    return text.getvalue().rstrip('\n')


def with_arrow(delta: float) -> str:
    """Write a change with its sign and direction: ``+0.0700 ↑``, ``-0.0120 ↓`` or ``0.0000 =``."""
    rounded = round(delta, 4)
    if rounded == 0:
        return '0.0000 ='
    return f'{rounded:+.4f} {"↑" if rounded > 0 else "↓"}'
