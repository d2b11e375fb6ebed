"""Drawing the test set and the folds."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from .errors import DatasetError
from .splits import Splits

# Five draws bring BUSI and BUS-BRA to the size asked for and to 1 % of their composition; fifty bring no more.
TRIES = 5


def method_split(dataset: str, groups: Mapping[str, str], seed: int, n_folds: int, test_fraction: float) -> Splits:
    """The method's plain random split: sorted names, shuffled; round((1 - test_fraction) n) train; folds likewise.

    It knows nothing of groups, and so leaks; for comparison with published numbers only.

    Raises:
        DatasetError: If there are too few images.
    """
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    n_train = round((1 - test_fraction) * len(names))
    train, test = names[:n_train], sorted(names[n_train:])
    if n_train < n_folds:
        raise DatasetError(f'{dataset}: {n_train} training images, expected {n_folds} or more for {n_folds} folds.')
    bounds = [k * n_train // n_folds for k in range(n_folds + 1)]
    folds = [sorted(train[start:end]) for start, end in zip(bounds, bounds[1:])]
    return Splits(dataset, 'method', seed, sorted(train), test, folds, groups)


def grouped_split(
    dataset: str,
    groups: Mapping[str, str],
    strata: Mapping[str, Sequence[str]],
    seed: int,
    n_folds: int,
    test_fraction: float,
    official_folds: Mapping[str, str] | None = None,
) -> tuple[Splits, list[str]]:
    """A test set and folds with no group on two sides, stratified.

    Many stratified candidates are drawn (`sklearn.model_selection.StratifiedGroupKFold`), and the one kept whose test
    set is nearest in size to what was asked for, then nearest in composition to the whole.

    Args:
        dataset (str): Name of the dataset.
        groups (Mapping[str, str]): Group of every image.
        strata (Mapping[str, Sequence[str]]): What to balance for every image, finest first: each is used as far as its
            members suffice.
        seed (int): Decides the outcome.
        n_folds (int): Number of folds.
        test_fraction (float): Share of images to hold out.
        official_folds (Mapping[str, str], optional): The archive's own fold of every image; used where it has
            ``n_folds`` of them. A group that they tear apart goes where most of it is.

    Returns:
        tuple[Splits, list[str]]: The split, and notes for the report.

    Raises:
        DatasetError: If there are too few groups.
    """
    names = sorted(groups)
    share = Fraction(test_fraction).limit_denominator(20)
    least = max(share.denominator, n_folds + 1)
    if len(set(groups.values())) < least or not 0 < share < 1:
        raise DatasetError(
            f'{dataset}: {len(names)} images in {len(set(groups.values()))} groups (patients or near-duplicates), '
            f'expected {least} or more groups for {n_folds} folds and a test share of {test_fraction}.'
        )
    candidates = []
    for attempt in range(TRIES):
        parts = _stratified_parts(names, groups, strata, share.denominator, TRIES * seed + attempt)
        for start in range(0, share.denominator, share.numerator):
            test = sorted(name for part in parts[start : start + share.numerator] for name in part)
            candidates.append((abs(len(test) - test_fraction * len(names)), _imbalance(test, names, strata), test))
    test = min(candidates, key=lambda candidate: candidate[:2])[2]
    train = sorted(set(names) - set(test))
    if official_folds and len(set(official_folds.values())) == n_folds:
        folds, notes = _official(train, groups, official_folds)
    else:
        folds, notes = _folds(dataset, train, groups, strata, n_folds, seed), []
        if official_folds:
            notes.append(f'The archive has {len(set(official_folds.values()))} folds, not {n_folds}; drew our own.')
    return Splits(dataset, 'grouped', seed, train, test, folds, groups), notes


def _folds(
    dataset: str,
    train: Sequence[str],
    groups: Mapping[str, str],
    strata: Mapping[str, Sequence[str]],
    n_folds: int,
    seed: int,
) -> list[list[str]]:
    """The drawn folds that differ least in size, then in composition; among many, as some leave a fold empty."""
    enough = len({groups[name] for name in train}) >= n_folds
    tries = TRIES if enough else 0
    drawn = [_stratified_parts(train, groups, strata, n_folds, TRIES * seed + attempt) for attempt in range(tries)]
    usable = [folds for folds in drawn if all(folds)]
    if not usable:
        raise DatasetError(
            f'{dataset}: the groups of the training images (largest: '
            f'{Counter(groups[name] for name in train).most_common(1)[0][1]} of {len(train)} images) do not fill '
            f'{n_folds} folds; ask for fewer (--folds).'
        )
    return min(
        usable,
        key=lambda folds: (
            max(map(len, folds)) - min(map(len, folds)),
            sum(_imbalance(fold, train, strata) for fold in folds),
        ),
    )


def _stratified_parts(
    names: Sequence[str], groups: Mapping[str, str], strata: Mapping[str, Sequence[str]], n_parts: int, seed: int
) -> list[list[str]]:
    # The splitter deals groups out by decreasing imbalance, ties in order of their identifiers; shuffled identifiers
    # therefore draw another candidate. Its own `shuffle` gives other results in other versions of scikit-learn.
    shuffled = sorted({groups[name] for name in names})
    random.Random(seed).shuffle(shuffled)
    identifiers = {group: identifier for identifier, group in enumerate(shuffled)}
    classes = _usable_strata(names, strata, n_parts)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='The least populated class')
        parts = StratifiedGroupKFold(n_parts).split(names, classes, [identifiers[groups[name]] for name in names])
        return [sorted(names[index] for index in part) for _, part in parts]


def _usable_strata(names: Sequence[str], strata: Mapping[str, Sequence[str]], n_parts: int) -> list[str]:
    """The finest stratum of every image that has at least ``n_parts`` members."""
    counts = Counter(stratum for name in names for stratum in strata[name])
    return [next((stratum for stratum in strata[name] if counts[stratum] >= n_parts), 'any') for name in names]


def _imbalance(part: Sequence[str], names: Sequence[str], strata: Mapping[str, Sequence[str]]) -> float:
    """Sum of the differences between the finest strata's shares in the part and in the whole; 0 is alike."""
    whole = Counter(strata[name][0] for name in names)
    here = Counter(strata[name][0] for name in part)
    return sum(abs(here[stratum] / max(len(part), 1) - whole[stratum] / len(names)) for stratum in sorted(whole))


def _official(
    train: Sequence[str], groups: Mapping[str, str], official: Mapping[str, str]
) -> tuple[list[list[str]], list[str]]:
    titles = sorted(set(official.values()))
    votes: dict[str, Counter] = {}
    for name in train:
        votes.setdefault(groups[name], Counter())[official[name]] += 1
    home = {group: min(votes[group], key=lambda title: (-votes[group][title], title)) for group in votes}
    moved = [name for name in train if official[name] != home[groups[name]]]
    folds = [[name for name in train if home[groups[name]] == title] for title in titles]
    notes = ["Folds of the training images are the archive's official ones."]
    if moved:
        notes.append(f'Moved to the fold where the rest of the group is: {", ".join(moved)}.')
    return folds, notes


def area_tertiles(fractions: Mapping[str, float]) -> dict[str, str]:
    """Small, medium or large: the tertile of every image's lesion area among all images."""
    low, high = np.quantile(list(fractions.values()), (1 / 3, 2 / 3))
    return {name: 'small' if area <= low else 'medium' if area <= high else 'large' for name, area in fractions.items()}
