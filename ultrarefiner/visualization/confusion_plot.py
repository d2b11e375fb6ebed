"""Confusion matrices side by side, and what changed from the first to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = dict(repaired='#009E73', spoiled='#D55E00', still_wrong='#9ca3af')


def draw_confusion(
    path: str | Path, matrices: Mapping[str, np.ndarray], classes: Sequence[str], changes: Mapping[str, int] | None
) -> None:
    """Draw a matrix a stage, in shares of the true class, and the pixels that were repaired and spoiled.

    Args:
        path (str | Path): A PNG file, or another format that matplotlib knows by its ending.
        matrices (Mapping[str, np.ndarray]): By stage, (C, C) pixels; row is the true class.
        classes (Sequence[str]): C names, background first.
        changes (Mapping[str, int], optional): Of `pixel_changes`, summed; None without a refiner.
    """
    panels = len(matrices) + (changes is not None)
    side = 1.6 + 0.8 * len(classes)
    figure = Figure(figsize=(side * panels, side), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis, (stage, matrix) in zip(axes, matrices.items()):
        _draw_matrix(axis, stage, matrix, classes)
    if changes is not None:
        _draw_changes(axes[-1], changes)
    figure.savefig(path, dpi=150)


def _draw_matrix(axis, stage: str, matrix: np.ndarray, classes: Sequence[str]) -> None:
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    axis.imshow(shares, vmin=0, vmax=1, cmap='Blues')
    ticks = np.arange(len(classes))
    axis.set_xticks(ticks, classes, rotation=30, ha='right', fontsize=8)
    axis.set_yticks(ticks, classes, fontsize=8)
    axis.set_xlabel('predicted', fontsize=8)
    axis.set_ylabel('true', fontsize=8)
    axis.set_title(stage, fontsize=10, loc='left')
    for (row, column), share in np.ndenumerate(shares):
        text = f'{share:.1%}\n{matrix[row, column]:,}'
        axis.text(column, row, text, ha='center', va='center', fontsize=8, color='white' if share > 0.5 else 'black')


def _draw_changes(axis, changes: Mapping[str, int]) -> None:
    names = list(COLOURS)
    bars = axis.bar(names, [changes[name] for name in names], color=list(COLOURS.values()))
    axis.bar_label(bars, [f'{changes[name]:,}' for name in names], fontsize=8)
    axis.set_xticks(range(len(names)), [name.replace('_', ' ') for name in names], fontsize=8)
    axis.set_yticks([])
    axis.spines[['top', 'right', 'left']].set_visible(False)
    axis.set_title('pixels, coarse to refined', fontsize=10, loc='left')
