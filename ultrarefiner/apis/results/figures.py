"""The pictures of the results page: learning curves, and what refining changed image by image."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...visualization.learning_curves import Curve, CurvePanel
from .cells import in_order, name_of
from .differences import DIFFERENCES, difference
from .runs import KINDS, MissingRuns, StoredRuns

CHAIN = ('transunet', 'sam_finetuned', 'ultrarefiner')


def curve_panels(runs: StoredRuns, training_set: str) -> list[CurvePanel]:
    """Dice of the validations of each phase, a mean over seeds.

    Raises:
        MissingRuns: If nothing was trained.
    """
    panels = []
    for kind in CHAIN:
        curves = [curve for curve in (run.curve() for run in runs.of(training_set, kind).values()) if curve is not None]
        curves = [curve for curve in curves if 'coarse/Dice' in curve]
        if not curves:
            continue
        step = 'epoch' if all('epoch' in curve for curve in curves) else 'iter'
        means = pd.concat(curves).groupby(step).mean(numeric_only=True)
        stages = [stage for stage in ('coarse', 'refined') if f'{stage}/Dice' in means]
        lines = [Curve(stage, means.index.to_list(), means[f'{stage}/Dice'].to_list()) for stage in stages]
        panels.append(CurvePanel(f'{KINDS[kind]}: Dice', lines, steps_are='epoch' if step == 'epoch' else 'iteration'))
    if not panels:
        raise MissingRuns(f'learning curves of models trained on {training_set}')
    return panels


def gain_panels(runs: StoredRuns, training_set: str, test_sets: list[str]) -> list[CurvePanel]:
    """The change of Dice by refining, sorted: where a line crosses 0 one reads the share of images that got worse.

    Raises:
        MissingRuns: If no test has both stages.
    """
    panels = []
    for test_set in in_order(test_sets):
        lines = []
        for name in ('phase2', 'phase3'):
            try:
                values = difference(runs, training_set, test_set, name).values
            except MissingRuns:
                continue
            share = 100 * (np.arange(len(values)) + 0.5) / len(values)
            lines.append(Curve(DIFFERENCES[name][2], share.tolist(), np.sort(values).tolist()))
        if lines:
            title = f'{name_of(test_set)}: change of Dice'
            panels.append(CurvePanel(title, lines, reference=0.0, steps_are='images, sorted by the change (%)'))
    if not panels:
        raise MissingRuns(f'refined masks of models trained on {training_set}')
    return panels
