"""Draw one corrupted mask: an error type, its severity, secondary errors, softness."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from .geometry import UnreachableError, equivalent_radius
from .measures import dice
from .presets import ERROR_TYPES, Preset
from .secondary_errors import SECONDARY_ERRORS
from .soft_mask import soften

MIN_AREA = 10  # Pixels; below, a lesion has no shape that could be wrong.
BISECTIONS = 8
CLOSE_ENOUGH = 0.02  # Dice


@dataclass(frozen=True)
class Corruption:
    """A corrupted mask.

    Args:
        mask (np.ndarray): (H, W) bool.
        probability (np.ndarray): (H, W) float32 in [0, 1], above 0.5 where the mask is.
        error (str): Its error type, of `ERROR_TYPES`; 'identity' for a mask too small to corrupt.
        severity (float): In [0, 1].
        dice (float): Between ``mask`` and the true mask.
    """

    mask: np.ndarray
    probability: np.ndarray
    error: str
    severity: float
    dice: float


def corruption_rng(seed: int, name: str, copy: int = 0, epoch: int = 0) -> np.random.Generator:
    """The generator of one corrupted mask; nothing else decides it, no worker and no order.

    Args:
        seed (int): Of the experiment.
        name (str): Of the image.
        copy (int): Number of the copy, where an image is corrupted several times in an epoch.
        epoch (int): Number of the epoch.
    """
    digest = hashlib.sha256(repr((int(seed), str(name), int(copy), int(epoch))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, 'big'))


def corrupt(
    mask: np.ndarray, preset: Preset, rng: np.random.Generator, target_dice: tuple[float, float] | None = None
) -> Corruption:
    """Corrupt a mask.

    An error type that cannot keep its promise on this mask is replaced by another of the preset. With ``target_dice``
    a Dice is drawn from the band, and the severity found by bisection, the other random numbers being kept: at most
    8 tries a type. A type that cannot reach the band (an empty mask has Dice 0) is replaced by another; where none
    can, it is the try that came nearest, and `Corruption.dice` says how near.

    Args:
        mask (np.ndarray): (H, W) bool, the true mask. Below 10 pixels it is returned as it is.
        preset (Preset): What to draw from.
        rng (np.random.Generator): Such as from `corruption_rng`.
        target_dice (tuple[float, float], optional): Lowest and highest Dice wanted.

    Returns:
        Corruption: The mask, hard and soft, and what was done.
    """
    if np.count_nonzero(mask) < MIN_AREA:
        return Corruption(mask.copy(), mask.astype(np.float32), 'identity', 0.0, 1.0)
    nearest, tried = None, []
    while (error := preset.draw_error(rng, tried)) is not None:
        tried.append(error)
        error_seed = int(rng.integers(2**63))
        severity = preset.draw_severity(error, rng)
        try:
            if target_dice is None:
                nearest = _attempt(mask, preset, error, severity, error_seed)
                break
            found = _search(mask, preset, error, error_seed, target_dice, rng.uniform(*target_dice))
        except UnreachableError:
            continue
        if nearest is None or _outside(found.dice, target_dice) < _outside(nearest.dice, target_dice):
            nearest = found
        if _outside(nearest.dice, target_dice) == 0:
            break
    if nearest is None:
        nearest = _attempt(mask, preset, 'identity', 0.0, 0)
    return _soften(nearest, mask, preset, rng)


def _attempt(mask: np.ndarray, preset: Preset, error: str, severity: float, seed: int) -> Corruption:
    """The error and, perhaps, secondary ones; not soft yet."""
    rng = np.random.default_rng(seed)
    wanted = rng.permutation(len(SECONDARY_ERRORS))[: rng.integers(1, len(SECONDARY_ERRORS) + 1)]
    follows, secondary_seed = rng.random() < preset.secondary, int(rng.integers(2**63))
    wrong = ERROR_TYPES[error](mask, severity, rng)
    exact = error == 'identity' and (wrong == mask).all()
    if follows and wrong.any() and not exact:
        secondary_rng = np.random.default_rng(secondary_seed)
        for index in wanted:
            wrong = SECONDARY_ERRORS[index](wrong, equivalent_radius(mask), secondary_rng)
    return Corruption(wrong, wrong.astype(np.float32), error, severity, dice(wrong, mask))


def _search(
    mask: np.ndarray, preset: Preset, error: str, seed: int, band: tuple[float, float], goal: float
) -> Corruption:
    """Bisect the severity for a Dice near ``goal``: a more severe error has a lower Dice, or is not possible."""
    best, best_rank = None, None
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        severity = (low + high) / 2
        try:
            attempt = _attempt(mask, preset, error, severity, seed)
        except UnreachableError:
            high = severity
            continue
        rank = (_outside(attempt.dice, band), abs(attempt.dice - goal))
        if best is None or rank < best_rank:
            best, best_rank = attempt, rank
        if rank[0] == 0 and rank[1] <= CLOSE_ENOUGH:
            break
        low, high = (severity, high) if attempt.dice > goal else (low, severity)
    if best is None:
        raise UnreachableError(f'{error} is not possible on this mask')
    return best


def _outside(value: float, band: tuple[float, float]) -> float:
    return max(band[0] - value, value - band[1], 0.0)


def _soften(corruption: Corruption, truth: np.ndarray, preset: Preset, rng: np.random.Generator) -> Corruption:
    if rng.random() >= preset.soft:
        return corruption
    temperature = rng.uniform(*preset.temperature) * equivalent_radius(truth)
    return replace(corruption, probability=soften(corruption.mask, temperature))
