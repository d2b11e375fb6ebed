"""What two rows differ by, image by image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
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


@dataclass(frozen=True)
class Difference:
    """A difference of two rows in one metric, a mean over images.

    Args:
        values (pd.Series): One an image, indexed by dataset and name.
        groups (list): The group of each image.
        low (float): Of the 95 % interval, by the bootstrap over groups.
        high (float): The other end.
        p (float): Of the paired permutation test; NaN if it was not asked for.
    """

    values: pd.Series
    groups: list
    low: float
    high: float
    p: float = float('nan')

    @property
    def mean(self) -> float:
        """Over images."""
        return float(self.values.mean())

    def win_tie_loss(self) -> str:
        """How many images got better, stayed, got worse; of Dice."""
        counts = win_tie_loss(pd.DataFrame({'delta/Dice': self.values}))
        return ' / '.join(str(counts[key]) for key in ('win', 'tie', 'loss'))


@lru_cache(maxsize=512)  # Tables, pictures and the text show the same ones.
def difference(
    runs: StoredRuns, training_set: str, test_set: str, name: str, metric: str = 'Dice', test: bool = True
) -> Difference:
    """The difference of two rows; each image is averaged over the seeds first.

    Args:
        runs (StoredRuns): The collected runs.
        training_set (str): What the models were trained on.
        test_set (str): What they were tested on.
        name (str): One of `DIFFERENCES`.
        metric (str): One of `METRICS`.
        test (bool): Whether the p-value is wanted.

    Raises:
        MissingRuns: If one of the rows is not there.
        ValueError: If they are not of the same images, or a value is not finite.
    """
    first, second, _ = DIFFERENCES[name]
    pair = [image_values(runs.images(training_set, test_set, row), row, metric).rename(row) for row in (first, second)]
    if not pair[0].index.equals(pair[1].index):
        odd = sorted(set(pair[0].index) ^ set(pair[1].index))
        raise ValueError(
            f'{ROWS_OF[first].title} and {ROWS_OF[second].title}, trained on {training_set} and tested on {test_set}, '
            f'are of different images, {"/".join(odd[0])} is in one only; test both on the same split'
        )
    values = pair[0] - pair[1]
    groups = runs.groups(training_set, test_set, values.index.to_frame(index=False))
    low, high = bootstrap_interval(values.to_numpy(), groups)
    p = paired_test(*(side.to_numpy() for side in pair), groups) if test else np.nan
    return Difference(values, groups, low, high, p)
