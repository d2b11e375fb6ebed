"""Forest plot: means with their intervals, one row a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROW_HEIGHT = 0.36  # inches
COLOUR = '#1f5fa8'
REFERENCE = '#c2410c'
NOTE = dict(color='#6b7280', fontsize=8, bbox=dict(color='white', pad=1))


@dataclass(frozen=True)
class Panel:
    """One panel of the plot.

    Args:
        title (str): Above it.
        means (Sequence[float]): One a row; NaN where there is none.
        lows (Sequence[float]): Lower ends of the intervals.
        highs (Sequence[float]): Upper ends.
        reference (float, optional): Where a dashed vertical line stands.
    """

    title: str
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    reference: float | None = None


def draw_forest_plot(path: str | Path, labels: Sequence[str], panels: Sequence[Panel], notes: Sequence[str]) -> None:
    """Draw the panels side by side and write the picture.

    Args:
        path (str | Path): A PNG file, or another format that matplotlib knows by its ending.
        labels (Sequence[str]): One a row, from the top.
        panels (Sequence[Panel]): From the left.
        notes (Sequence[str]): One a row, for the place of a missing mean, such as 'failed'.
    """
    width = 0.085 * max(map(len, labels)) + 3.4 * len(panels)
    figure = Figure(figsize=(width, ROW_HEIGHT * len(labels) + 1.2), layout='constrained')
    FigureCanvasAgg(figure)
    rows = np.arange(len(labels))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels):
        _draw_panel(axis, rows, panel, notes)
    axes[0].set_yticks(rows, labels)
    axes[0].set_ylim(len(labels) - 0.4, -0.6)
    figure.savefig(path, dpi=150)


def _draw_panel(axis, rows: np.ndarray, panel: Panel, notes: Sequence[str]) -> None:
    means, lows, highs = (np.asarray(values, dtype=float) for values in (panel.means, panel.lows, panel.highs))
    axis.set_title(panel.title, fontsize=10, loc='left')
    axis.grid(axis='x', color='#e5e7eb', linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[['top', 'right', 'left']].set_visible(False)
    axis.tick_params(axis='y', length=0)
    axis.locator_params(axis='x', nbins=5)
    if panel.reference is not None and np.isfinite(panel.reference):
        axis.axvline(panel.reference, color=REFERENCE, linewidth=1, linestyle='--')
    axis.hlines(rows, lows, highs, color=COLOUR, linewidth=2)
    axis.plot(means, rows, 'o', color=COLOUR, markersize=5)
    for row, mean, note in zip(rows, means, notes):
        if not np.isfinite(mean):
            axis.text(0.5, row, note, transform=axis.get_yaxis_transform(), ha='center', va='center', **NOTE)
