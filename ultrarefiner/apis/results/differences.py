"""What two rows differ by, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import pandas as pd

from ...evaluation.per_image_csv import win_tie_loss
from ...evaluation.statistics import bootstrap_interval, paired_test
from .runs import ROWS_OF, StoredRuns, image_values

# What is compared with what: the name in the template, the rows, the title.
DIFFERENCES = dict(
    phase2=('phase2', 'phase2_coarse', 'phase 2: refined − coarse'),
    phase3=('phase3', 'phase3_coarse', 'phase 3: refined − coarse'),
    phase3_phase1=('phase3', 'phase1', 'refined of phase 3 − coarse of phase 1'),
    phase3_unet=('phase3', 'unet', 'refined of phase 3 − U-Net'),
    coarse=('phase3_coarse', 'phase1', 'coarse of phase 3 − coarse of phase 1'),
    phase2_guard=('phase2_guarded', 'phase2', 'phase 2: guarded − refined'),
    phase3_guard=('phase3_guarded', 'phase3', 'phase 3: guarded − refined'),
)


@dataclass(frozen=True, eq=False)
class Difference:
    """A difference of two rows in one metric, image by image.

    Args:
        first (pd.Series): One value an image, indexed by dataset and name.
        second (pd.Series): That of the other row; the same images in the same order.
        groups (list): The group of each image.
    """

    first: pd.Series
    second: pd.Series
    groups: list

    @property
    def values(self) -> pd.Series:
        """First minus second."""
        return self.first - self.second

    @property
    def mean(self) -> float:
        """Over images."""
        return float(self.values.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean, by the bootstrap over groups."""
        return bootstrap_interval(self.values.tolist(), self.groups)

    @cached_property
    def p(self) -> float:
        """Of the paired permutation test, signs flipped by group."""
        return paired_test(self.first.tolist(), self.second.tolist(), self.groups)

    def win_tie_loss(self) -> str:
        """How many images got better, stayed, got worse; of Dice."""
        counts = win_tie_loss(pd.DataFrame({'delta/Dice': self.values}))
        return ' / '.join(str(counts[key]) for key in ('win', 'tie', 'loss'))


@lru_cache(maxsize=512)  # Tables, pictures and the text show the same ones.
def difference(runs: StoredRuns, training_set: str, test_set: str, name: str, metric: str = 'Dice') -> Difference:
    """The difference of two rows; each image is averaged over the seeds first.

    Args:
        runs (StoredRuns): The collected runs.
        training_set (str): What the models were trained on.
        test_set (str): What they were tested on.
        name (str): One of `DIFFERENCES`.
        metric (str): One of `METRICS`.

    Raises:
        MissingRuns: If one of the rows is not there.
        ValueError: If they are not of the same images.
    """
    first, second, _ = DIFFERENCES[name]
    mine, other = (image_values(runs.images(training_set, test_set, row), row, metric) for row in (first, second))
    if not mine.index.equals(other.index):
        odd = sorted(set(mine.index) ^ set(other.index))
        raise ValueError(
            f'{ROWS_OF[first].title} and {ROWS_OF[second].title}, trained on {training_set} and tested on {test_set}, '
            f'are of different images, {"/".join(odd[0])} is in one only; test both on the same split'
        )
    return Difference(mine, other, runs.groups(training_set, test_set, mine.index.to_frame(index=False)))
