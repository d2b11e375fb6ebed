"""The charts of a report: learning curves, Dice before and after refining, and whether the predicted IoU is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...evaluation.per_image_csv import STAGES, TIE, win_tie_loss
from ...evaluation.training_log import loss_keys, metric_keys
from ...visualization.report import Point, Series, line_chart, scatter_chart

OUTCOMES = ('win', 'tie', 'loss')
Link = Callable[[pd.Series], str]


def learning_curves(log: pd.DataFrame) -> dict[str, Any]:
    """The curves of one training.

    Args:
        log (pd.DataFrame): Of `read_training_log`.

    Returns:
        dict[str, Any]: ``metrics``, a list with ``name``, ``stages`` (the names in the legend), ``chart`` and, with two
        stages, ``delta``; ``losses``, None or ``chart`` and ``names``; ``validations``, their number.
    """
    validations, training = log[log['kind'] == 'val'], log[log['kind'] == 'train']
    step = 'epoch' if 'epoch' in log and (validations if len(validations) else log)['epoch'].notna().all() else 'iter'
    x_label = 'epoch' if step == 'epoch' else 'iteration'
    metrics = []
    for name, columns in metric_keys(log).items():
        lines = [Series(s, s, _points(validations, step, f'{s}/{name}')) for s in STAGES if f'{s}/{name}' in columns]
        if not any(line.points for line in lines):
            continue
        stages, delta = [line.name for line in lines], None
        if f'delta/{name}' in columns:
            change = [Series('delta', 'delta', _points(validations, step, f'delta/{name}'))]
            delta = line_chart(change, x_label, f'{name}, refined minus coarse, of each validation', zero_line=True)
        chart = line_chart(lines, x_label, f'{name} of each validation: {" and ".join(stages)}')
        metrics.append(dict(name=name, stages=stages, chart=chart, delta=delta))
    return dict(metrics=metrics, losses=_losses(training), validations=len(validations))


def dice_scatter(rows: pd.DataFrame, link: Link, several_classes: bool) -> dict[str, Any]:
    """Coarse Dice against refined Dice of every mask, with the counts of what refining did."""
    points = []
    for outcome in OUTCOMES:
        for _, row in rows[outcomes(rows) == outcome].iterrows():
            values = f'{row["coarse/Dice"]:.3f} → {row["refined/Dice"]:.3f}'
            label = f'{_title(row, several_classes)}: Dice {values}'
            points.append(Point(row['coarse/Dice'], row['refined/Dice'], outcome, label, link(row)))
    about = 'Dice of each mask before and after refining; arrow keys go from point to point'
    chart = scatter_chart(points, 'coarse Dice', 'refined Dice', about)
    return dict(chart=chart, **win_tie_loss(rows))


def quality_scatter(rows: pd.DataFrame, link: Link, several_classes: bool) -> dict[str, Any] | None:
    """The IoU that the refiner predicts against the real one; None where it predicts none."""
    if 'predicted_iou' not in rows or 'refined/IoU' not in rows:
        return None
    known = rows[pd.to_numeric(rows['predicted_iou'], errors='coerce').notna()]
    if known.empty:
        return None
    predicted, real = known['predicted_iou'].astype(float), known['refined/IoU'].astype(float)
    points = []
    for position, (_, row) in enumerate(known.iterrows()):
        values = f'predicted IoU {predicted.iloc[position]:.3f}, real {real.iloc[position]:.3f}'
        label = f'{_title(row, several_classes)}: {values}'
        # A predicted IoU is a number of a network, which may leave [0, 1] by a little.
        x = float(np.clip(predicted.iloc[position], 0, 1))
        points.append(Point(x, real.iloc[position], 'refined', label, link(row)))
    varies = len(known) > 2 and predicted.nunique() > 1 and real.nunique() > 1
    return dict(
        chart=scatter_chart(points, 'predicted IoU', 'real IoU', 'Predicted and real IoU of each refined mask'),
        bias=float((predicted - real).mean()),
        error=float((predicted - real).abs().mean()),
        correlation=float(stats.spearmanr(predicted, real).statistic) if varies else None,
    )


def outcomes(rows: pd.DataFrame) -> pd.Series:
    """'win', 'tie' or 'loss' of each row, as `win_tie_loss` counts them."""
    change = rows['delta/Dice']
    return pd.Series(np.select([change >= TIE, change <= -TIE], ['win', 'loss'], 'tie'), index=rows.index)


def _losses(training: pd.DataFrame) -> dict[str, Any] | None:
    names = [name for name in loss_keys(training) if training[name].notna().any()]
    # The sum of a single loss is that loss.
    names = names[:1] if len(names) == 2 else names
    if not names:
        return None
    lines = [Series(_loss_name(name), f'loss-{i % 6}', _points(training, 'iter', name)) for i, name in enumerate(names)]
    chart = line_chart(lines, 'iteration', f'Training losses: {", ".join(line.name for line in lines)}')
    return dict(chart=chart, names=[(line.name, line.look) for line in lines])


def _loss_name(key: str) -> str:
    return 'sum' if key == 'loss' else key.removeprefix('loss_').replace('_', ' ', 1)


def _points(log: pd.DataFrame, step: str, column: str) -> list[tuple[float, float]]:
    known = log[log[column].notna()]
    return list(zip(known[step].astype(float).tolist(), known[column].astype(float).tolist()))


def _title(row: pd.Series, several_classes: bool) -> str:
    return f'{row["name"]} ({row["class"]})' if several_classes else row['name']
