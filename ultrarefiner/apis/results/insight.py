"""Why refining helps or does not: which errors it mends and makes, on which masks, and whether it knows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ...evaluation.error_places import COUNTS, KINDS, PLACES
from ...evaluation.markdown_table import markdown_table
from ...evaluation.statistics import bootstrap_interval
from .cells import change, counted, facts, number
from .runs import ROWS_OF, MissingRuns, StoredRuns

EDGES = (0.2, 0.4, 0.6, 0.8)
BINS = ('0 to 0.2', '0.2 to 0.4', '0.4 to 0.6', '0.6 to 0.8', '0.8 to 1')
REFINING = ('phase2', 'phase3')


def errors(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """The wrong pixels before and after refining, by kind and place, as shares of the lesions' area."""
    body, images = [], None
    for row in REFINING:
        try:
            counts = runs.errors(training_set, test_set, row)
        except MissingRuns:
            continue
        images = runs.images(training_set, test_set, row)
        parts = [(f'{kind.replace("_", " ")}, {place}', f'{kind}/{place}') for kind in KINDS for place in PLACES]
        for title, key in parts:
            body.append([f'phase {row[-1]}, {title}', *_shares([counts[f'{key}/{of}'] for of in COUNTS], counts)])
        sums = [sum(counts[f'{key}/{of}'] for _, key in parts) for of in COUNTS]
        body.append([f'phase {row[-1]}, all', *_shares(sums, counts)])
    if images is None:
        raise MissingRuns(f'masks of refiners trained on {training_set} and tested on {test_set}')
    heads = ['Wrong pixels', 'Coarse', 'Mended', 'Made', 'Refined', 'Change']
    return f'{markdown_table(heads, body)}\n\n{facts(runs, training_set, test_set, images)}.'


def gains(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """What refining changes by how good the coarse mask was."""
    body, shown = [], None
    for row in REFINING:
        try:
            images = runs.images(training_set, test_set, row)
        except MissingRuns:
            continue
        shown = images
        groups = np.array(runs.groups(training_set, test_set, images), dtype=object)
        bins = np.digitize(images['coarse/Dice'], EDGES)
        for number_of_bin, title in enumerate(BINS):
            inside = bins == number_of_bin
            if not inside.any():
                continue
            part = images[inside]
            delta = part['delta/Dice'].to_numpy()
            low, high = bootstrap_interval(delta, list(groups[inside]))
            means = [number(part[f'{stage}/Dice'].mean()) for stage in ('coarse', 'refined')]
            body.append([f'phase {row[-1]}, {title}', str(len(part)), *means, change(delta.mean(), low, high)])
    if shown is None:
        raise MissingRuns(f'refined masks of models trained on {training_set} and tested on {test_set}')
    heads = ['Coarse Dice', 'Images', 'Coarse Dice, mean', 'Refined Dice', 'Refined − coarse']
    return f'{markdown_table(heads, body)}\n\n{facts(runs, training_set, test_set, shown)}.'


def calibration(runs: StoredRuns, training_set: str, test_set: str) -> str:
    """The IoU that the refiner predicts against the real one, mask by mask."""
    body, summaries, shown = [], [], None
    for row in REFINING:
        try:
            of_seeds = runs.of_seeds(training_set, test_set, row)
        except MissingRuns:
            continue
        masks = pd.concat(of_seeds.values())
        if 'predicted_iou' not in masks:
            continue
        predicted = pd.to_numeric(masks['predicted_iou'], errors='coerce').to_numpy(float)
        known = np.isfinite(predicted)
        if not known.any():
            continue
        shown = runs.images(training_set, test_set, row)
        predicted, real = predicted[known], masks['refined/IoU'].to_numpy(float)[known]
        bins = np.digitize(predicted, EDGES)
        for number_of_bin, title in enumerate(BINS):
            inside = bins == number_of_bin
            if inside.any():
                values = predicted[inside].mean(), real[inside].mean(), (predicted - real)[inside].mean()
                cells = number(values[0]), number(values[1]), number(values[2], sign='+')
                body.append([f'phase {row[-1]}, {title}', str(int(inside.sum())), *cells])
        summaries.append(f'{ROWS_OF[row].title}: {_agreement(predicted, real)}')
    if shown is None:
        raise MissingRuns(f'predicted IoU of refiners trained on {training_set} and tested on {test_set}')
    heads = ['Predicted IoU', 'Masks', 'Predicted, mean', 'Real, mean', 'Predicted − real']
    return f'{markdown_table(heads, body)}\n\n{facts(runs, training_set, test_set, shown)}. {"; ".join(summaries)}.'


def _shares(pixels: list[int], counts: dict[str, int]) -> list[str]:
    """Coarse, mended, made and refined in percent of the lesions' pixels, and what changed."""
    shares = [100 * value / counts['lesion'] for value in (*pixels, pixels[-1] - pixels[0])]
    cells = [f'{share:.2f} %' for share in shares[:-1]]
    return [*cells, f'{shares[-1]:+.2f} %'.replace('-', '\N{MINUS SIGN}')]


def _agreement(predicted: np.ndarray, real: np.ndarray) -> str:
    error = f'mean absolute error {number(float(np.abs(predicted - real).mean()))} over {counted(len(real), "mask")}'
    if len(real) < 3 or not np.ptp(predicted) or not np.ptp(real):
        return error
    return f'{error}, rank correlation (Spearman) {stats.spearmanr(predicted, real).statistic:.2f}'
