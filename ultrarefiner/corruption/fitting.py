"""Fit a preset to the errors that a real network makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from scipy.optimize import nnls
from scipy.stats import ks_2samp, wasserstein_distance

from .measures import QUANTITIES, measure
from .presets import ERROR_TYPES, Preset
from .sampling import MIN_AREA, corrupt, corruption_rng

WORKING_SIZE = 192  # Pixels of the longer side: errors are the same at every size, and small images are fast.
SEVERITY_BINS = 4
FEWEST = 10
SOFT = 0.01  # Softness below which a mask is a hard one, resized.
SOFTNESS_SAMPLES = 200
# Where the cumulated distributions of the quantities are compared.
EDGES = dict(
    dice=np.linspace(0.02, 0.98, 25),
    area_ratio=np.geomspace(0.02, 20, 25),
    components=np.array([0.5, 1.5, 2.5, 3.5, 5.5, 9.5]),
    false_positives=np.array([0.5, 1.5, 2.5, 3.5, 5.5, 9.5]),
    holes=np.array([0.5, 1.5, 2.5]),
    boundary_distance=np.geomspace(0.01, 4, 25),
)
Table = dict[str, np.ndarray]


def to_working_size(probability: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a prediction (H, W) in [0, 1] and its truth (H, W) bool to `WORKING_SIZE`; smaller ones stay."""
    scale = WORKING_SIZE / max(truth.shape)
    if scale >= 1:
        return probability, truth
    size = max(round(truth.shape[1] * scale), 1), max(round(truth.shape[0] * scale), 1)
    small = (cv2.resize(array.astype(np.float32), size, interpolation=cv2.INTER_AREA) for array in (probability, truth))
    probability, truth = small
    return probability, truth > 0.5


def measure_all(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Table:
    """Measure (probability, truth) pairs: for each of `QUANTITIES` the values, (n,)."""
    rows = [measure(probability, truth) for probability, truth in pairs]
    return {name: np.array([row[name] for row in rows], dtype=float) for name in QUANTITIES}


def simulate(preset: Preset, truths: Sequence[np.ndarray], count: int, seed: int) -> Table:
    """Corrupt and measure ``count`` masks, going through the truths as often as needed."""

    def pairs():
        for index in range(count):
            truth = truths[index % len(truths)]
            yield corrupt(truth, preset, corruption_rng(seed, str(index))).probability, truth

    return measure_all(pairs())


def fit_preset(
    real: Table,
    truths: Sequence[np.ndarray],
    samples: int,
    seed: int,
    track: Callable[[Sequence], Iterable] = iter,
) -> Preset:
    """Find the preset whose corrupted masks resemble real predictions.

    Every error type with every quarter of its severities is simulated by itself. The cumulated distributions of all
    quantities of these parts are mixed, with weights of 0 or more that sum to 1, to match those of the real ones (least
    squares over the cumulated distributions, the Cramér distance; scipy's NNLS). The weights are the probabilities and
    the severities of the preset. The share of soft masks and their temperatures follow from the measured softness.

    Args:
        real (dict[str, np.ndarray]): From `measure_all` of the real predictions.
        truths (Sequence[np.ndarray]): True masks to corrupt, (H, W) bool, `WORKING_SIZE`.
        samples (int): Corrupted masks for each type and quarter.
        seed (int): Decides the simulation.
        track (Callable): Wraps the list of parts, to show progress.

    Returns:
        Preset: The fit.

    Raises:
        ValueError: If there are fewer than 10 predictions, or no lesion large enough to corrupt.
    """
    truths = [truth for truth in truths if np.count_nonzero(truth) >= MIN_AREA]
    if len(real['dice']) < FEWEST or not truths:
        raise ValueError(
            f'{len(real["dice"])} predictions of images with a lesion, {len(truths)} lesions of {MIN_AREA} pixels or '
            f'more: expected {FEWEST} or more predictions to fit a distribution to'
        )
    parts, tables = [], []
    for error, quarter in track([(error, quarter) for error in ERROR_TYPES for quarter in range(SEVERITY_BINS)]):
        alone = Preset({error: 1}, {error: np.eye(SEVERITY_BINS)[quarter]})
        table = _simulate_only(alone, error, truths, samples, seed + quarter)
        if len(table['dice']):
            parts.append((error, quarter))
            tables.append(table)
    errors = _to_preset(parts, _mix(tables, real))
    return replace(errors, **_softness(real, errors, truths, seed))


def compare(table: Table, real: Table) -> dict[str, tuple[float, float]]:
    """(Wasserstein distance, Kolmogorov-Smirnov statistic) of each quantity; area ratios by their logarithms."""
    return {name: _distances(_comparable(name, table[name]), _comparable(name, real[name])) for name in QUANTITIES}


def _simulate_only(preset: Preset, error: str, truths: Sequence[np.ndarray], samples: int, seed: int) -> Table:
    """Like `simulate`, without the masks on which the error type is not possible."""

    def pairs():
        for index in range(samples):
            truth = truths[index % len(truths)]
            corruption = corrupt(truth, preset, corruption_rng(seed, f'{error} {index}'))
            if corruption.error == error:
                yield corruption.probability, truth

    return measure_all(pairs())


def _cumulated(table: Table) -> np.ndarray:
    """The cumulated distributions of all quantities at their edges, one after the other; each weighs the same."""
    columns = []
    for name, edges in EDGES.items():
        values = table[name]
        # An empty mask has no outline, which counts as infinitely far off.
        values = np.where(np.isnan(values), np.inf, values)
        columns.append((values[:, None] <= edges).mean(0) / np.sqrt(len(edges)))
    return np.concatenate(columns)


def _mix(tables: Sequence[Table], real: Table) -> np.ndarray:
    """Weights of 0 or more with sum 1 that mix the tables' distributions into the real ones'."""
    matrix = np.stack([_cumulated(table) for table in tables], axis=1)
    sum_to_one = 100.0
    weights, _ = nnls(np.vstack([matrix, np.full(len(tables), sum_to_one)]), np.append(_cumulated(real), sum_to_one))
    return weights / weights.sum()


def _to_preset(parts: Sequence[tuple[str, int]], weights: np.ndarray) -> Preset:
    table = {error: np.zeros(SEVERITY_BINS) for error in ERROR_TYPES}
    for (error, quarter), weight in zip(parts, weights):
        table[error][quarter] = weight
    used = {error: row for error, row in table.items() if row.sum() > 0}
    return Preset(
        {error: float(row.sum()) for error, row in used.items()}, {error: row.tolist() for error, row in used.items()}
    )


def _softness(real: Table, errors: Preset, truths: Sequence[np.ndarray], seed: int) -> dict:
    """The share of soft masks, and the temperatures that give their softness its mean and spread.

    Softness is proportional to the temperature, and at one temperature it varies with the shapes: the temperatures
    account for the rest of the variance of its logarithm, taken as uniform (of half width sqrt(3) times its deviation).
    """
    softness = real['softness'][~np.isnan(real['softness'])]
    soft = softness[softness > SOFT]
    if not len(soft):
        return dict(soft=0.0)
    reference = 0.1
    alone = replace(errors, temperature=(reference, reference), soft=1.0)
    simulated = simulate(alone, truths, SOFTNESS_SAMPLES, seed)['softness']
    real_log, simulated_log = np.log(soft), np.log(simulated[simulated > SOFT])
    middle = reference * np.exp(np.median(real_log) - np.median(simulated_log))
    half_width = np.sqrt(3 * max(real_log.var() - simulated_log.var(), 0))
    low, high = middle * np.exp(-half_width), middle * np.exp(half_width)
    return dict(soft=len(soft) / len(softness), temperature=(float(low), float(high)))


def _comparable(name: str, values: np.ndarray) -> np.ndarray:
    values = values[~np.isnan(values)]
    return np.log(np.maximum(values, 0.01)) if name == 'area_ratio' else values


def _distances(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    if not len(one) or not len(other):
        return float('nan'), float('nan')
    return float(wasserstein_distance(one, other)), float(ks_2samp(one, other).statistic)
