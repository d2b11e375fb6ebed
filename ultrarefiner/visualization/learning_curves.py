"""Learning curves: values over iterations, a panel for each kind of value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANEL_SIZE = 4.6, 2.9  # inches
COLUMNS = 3
# Okabe and Ito (2008): eight colours that people with any colour vision tell apart; yellow is too faint for a line.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
LINES = ('-', '--', ':', '-.')


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Args:
        name (str): In the legend.
        steps (Sequence[float]): Iterations.
        values (Sequence[float]): Of the same length; NaN leaves a gap.
        best (float, optional): The iteration that is marked.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    best: float | None = None


@dataclass(frozen=True)
class CurvePanel:
    """One panel.

    Args:
        title (str): Above it.
        curves (Sequence[Curve]): In the order of the legend; the same place has the same colour in all panels.
        reference (float, optional): Where a horizontal line stands.
        steps_are (str): What the steps are. Defaults to 'iteration'.
    """

    title: str
    curves: Sequence[Curve]
    reference: float | None = None
    steps_are: str = 'iteration'


def draw_learning_curves(path: str | Path, panels: Sequence[CurvePanel]) -> None:
    """Draw panels in rows and write the picture.

    Args:
        path (str | Path): A PNG file, or another format that matplotlib knows by its ending.
        panels (Sequence[CurvePanel]): At least one.
    """
    columns = 2 if len(panels) == 4 else min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(PANEL_SIZE[0] * columns, PANEL_SIZE[1] * rows), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, panel in zip(axes, panels):
        _draw_panel(axis, panel)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=150)


def _draw_panel(axis, panel: CurvePanel) -> None:
    axis.set_title(panel.title, fontsize=10, loc='left')
    axis.grid(color='#e5e7eb', linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[['top', 'right']].set_visible(False)
    axis.set_xlabel(panel.steps_are, fontsize=8)
    axis.tick_params(labelsize=8)
    if panel.reference is not None:
        axis.axhline(panel.reference, color='#6b7280', linewidth=0.8)
    for number, curve in enumerate(panel.curves):
        steps, values = np.asarray(curve.steps, dtype=float), np.asarray(curve.values, dtype=float)
        style = dict(color=COLOURS[number % len(COLOURS)], linestyle=LINES[number // len(COLOURS) % len(LINES)])
        # Few points are a validation each, and one alone would be no line at all.
        axis.plot(steps, values, linewidth=1.4, marker='o' if len(steps) <= 20 else '', markersize=3, **style)
        axis.lines[-1].set_label(curve.name)
        if curve.best is not None:
            axis.plot(steps[steps == curve.best], values[steps == curve.best], '*', color=style['color'], markersize=10)
    if len(panel.curves) > 1:
        axis.legend(fontsize=7, frameon=False)
