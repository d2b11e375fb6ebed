"""`splits.json`: which images train, which test, and the folds; checked whenever it is read."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DatasetError

FORMAT = 1
PROTOCOLS = ('grouped', 'method')
_KEYS = {'format', 'dataset', 'protocol', 'seed', 'n_folds', 'train', 'test', 'folds', 'groups', 'sha256'}


@dataclass(frozen=True)
class Splits:
    """The held-out test set and the folds of the training set of one dataset.

    It cannot be made inconsistent: the folds partition the training images, no image is on two sides, and with the
    protocol 'grouped' no group (patient, or cluster of near-duplicates) is.

    Args:
        dataset (str): Name of the dataset.
        protocol (str): 'grouped', or 'method' for the method's plain random split, which leaks.
        seed (int): What the split was drawn with.
        train (Sequence[str]): Names of the training images.
        test (Sequence[str]): Names of the test images.
        folds (Sequence[Sequence[str]]): Names of the validation images of every fold.
        groups (Mapping[str, str]): Group of every image.

    Raises:
        DatasetError: If anything of this does not hold.
    """

    dataset: str
    protocol: str
    seed: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    groups: Mapping[str, str]

    def __post_init__(self):
        object.__setattr__(self, 'train', tuple(self.train))
        object.__setattr__(self, 'test', tuple(self.test))
        object.__setattr__(self, 'folds', tuple(tuple(fold) for fold in self.folds))
        object.__setattr__(self, 'groups', dict(self.groups))
        fault = self._fault()
        if fault:
            raise DatasetError(f'split of {self.dataset!r}: {fault}')

    @classmethod
    def load(cls, path: str | Path) -> Splits:
        """Read and check a split file.

        Raises:
            DatasetError: If it is absent, malformed, changed after it was written, or leaks.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
        except FileNotFoundError as error:
            raise DatasetError(f'{path}: absent; convert the dataset with tools/dataset_converters first.') from error
        except (OSError, ValueError, RecursionError) as error:
            raise DatasetError(f'{path}: not a readable JSON file ({error}); convert the dataset again.') from error
        fault = _malformed(content)
        if fault:
            raise DatasetError(f'{path}: {fault}; convert the dataset again.')
        stored = content.pop('sha256')
        if stored != _digest(content):
            raise DatasetError(
                f'{path}: its content has the hash {_digest(content)[:12]}, not {stored[:12]} as stored in it: it was '
                'changed after it was written. Restore it, or convert the dataset again.'
            )
        del content['format'], content['n_folds']
        try:
            return cls(**content)
        except DatasetError as error:
            raise DatasetError(f'{path}: {error}') from error

    def save(self, path: str | Path) -> None:
        """Write the file that `load` reads, with the same bytes on every machine."""
        text = json.dumps({**self._content(), 'sha256': self.digest}, indent=1, ensure_ascii=True)
        Path(path).write_text(text + '\n', encoding='utf-8', newline='\n')

    @property
    def digest(self) -> str:
        """SHA-256 of the content: equal only for equal splits."""
        return _digest(self._content())

    @property
    def sides(self) -> dict[str, str]:
        """'test', or 'fold k' that it validates, of every image."""
        folds = {name: f'fold {k}' for k, fold in enumerate(self.folds) for name in fold}
        return dict.fromkeys(self.test, 'test') | folds

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self.folds)

    def fold_names(self, k: int) -> tuple[str, ...]:
        """The validation images of fold k."""
        if not 0 <= k < self.n_folds:
            raise DatasetError(f'split of {self.dataset!r}: fold {k} asked for, expected 0..{self.n_folds - 1}.')
        return self.folds[k]

    def train_names(self, k: int) -> tuple[str, ...]:
        """The training images of fold k: all but its validation images."""
        held_out = set(self.fold_names(k))
        return tuple(name for name in self.train if name not in held_out)

    def _content(self) -> dict:
        return {
            'format': FORMAT,
            'dataset': self.dataset,
            'protocol': self.protocol,
            'seed': self.seed,
            'n_folds': self.n_folds,
            'train': list(self.train),
            'test': list(self.test),
            'folds': [list(fold) for fold in self.folds],
            'groups': dict(sorted(self.groups.items())),
        }

    def _fault(self) -> str | None:
        if self.protocol not in PROTOCOLS:
            return f'protocol {self.protocol!r}, expected one of {", ".join(PROTOCOLS)}.'
        if self.n_folds < 2 or not all(self.folds):
            return (
                f'{self.n_folds} folds of {[len(fold) for fold in self.folds]} images, expected 2 or more, none empty.'
            )
        in_folds = [name for fold in self.folds for name in fold]
        for side, names in (('train', self.train), ('test', self.test), ('folds', in_folds)):
            name, count = Counter(names).most_common(1)[0] if names else ('', 1)
            if count > 1:
                return f'image {name!r} is {count} times in {side}, expected once.'
        both = sorted(set(self.train) & set(self.test))
        if both:
            return f'image {both[0]!r} is in train and in test ({len(both)} such images).'
        missing, surplus = sorted(set(self.train) - set(in_folds)), sorted(set(in_folds) - set(self.train))
        if missing:
            return f'training image {missing[0]!r} is in no fold ({len(missing)} such images).'
        if surplus:
            return f'image {surplus[0]!r} is in a fold but not in train ({len(surplus)} such images).'
        ungrouped = sorted({*self.train, *self.test} ^ set(self.groups))
        if ungrouped:
            return f'image {ungrouped[0]!r} is in either the split or its groups, not in both ({len(ungrouped)} such).'
        return self._leak() if self.protocol == 'grouped' else None

    def _leak(self) -> str | None:
        side_of: dict[str, tuple[str, str]] = {}
        for name, side in self.sides.items():
            other, first = side_of.setdefault(self.groups[name], (side, name))
            if other != side:
                return (
                    f'group {self.groups[name]!r} is on two sides: {first!r} in {other}, {name!r} in {side}. '
                    'A model would be measured on what it was trained on.'
                )
        return None


def _digest(content: Mapping) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(',', ':'), ensure_ascii=True)
    return hashlib.sha256(canonical.encode('ascii')).hexdigest()


def _malformed(content: object) -> str | None:
    if not isinstance(content, dict):
        return f'a {type(content).__name__}, expected an object'
    lacking, surplus = sorted(_KEYS - set(content)), sorted(set(content) - _KEYS)
    if lacking or surplus:
        return f'lacks the keys {lacking}, has the unknown keys {surplus}'
    if content['format'] != FORMAT:
        return f'format {content["format"]!r}, expected {FORMAT}'
    for key in ('dataset', 'protocol', 'sha256'):
        if not isinstance(content[key], str):
            return f'{key} is {content[key]!r}, expected text'
    for key in ('seed', 'n_folds'):
        if type(content[key]) is not int:
            return f'{key} is {content[key]!r}, expected a whole number'
    if not isinstance(content['folds'], list) or len(content['folds']) != content['n_folds']:
        return f'folds is not a list of n_folds = {content["n_folds"]} lists'
    for key, names in (('train', content['train']), ('test', content['test']), *enumerate(content['folds'])):
        if not _is_names(names):
            return f'{key if isinstance(key, str) else f"fold {key}"} is not a list of names'
    groups = content['groups']
    if not isinstance(groups, dict) or not _is_names(list(groups.values())):
        return 'groups is not an object of names'
    return None


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)


def shared_groups(groups: Mapping[str, str], one: Sequence[str], other: Sequence[str]) -> set[str]:
    """The groups that have images in both lists of names."""
    return {groups[name] for name in one} & {groups[name] for name in other}
