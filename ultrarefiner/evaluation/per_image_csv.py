"""What the per-image results say: the rows that RefinementMetric writes, read back, averaged, counted and grouped.

A row is one class of one image. Every image has a row for every class, also where a mask is empty, and no row is left
out of a mean: a class that was missed counts with its 0, or with the diagonal of the image for a distance.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from mmengine.utils import digit_version

from .metric import METRICS

STAGES = ('coarse', 'refined')
TIE = 0.005
# Older parsers approximate, and means would differ from those of the run that wrote the file.
EXACT = dict(float_precision='round_trip') if digit_version(pd.__version__) < digit_version('3.1') else {}
# Where the strata of the lesion size part, in shares of the area of the image.
SMALL, LARGE = 0.02, 0.1


def read_rows(path: str | Path) -> pd.DataFrame:
    """Read a file of per-image results.

    Args:
        path (str | Path): The CSV file that `RefinementMetric` wrote.

    Returns:
        pd.DataFrame: A row for each class of each image. The columns ``dataset``, ``name`` and ``class`` are strings,
        also where they look like numbers; ``{stage}/{metric}`` are those of the stages 'coarse', 'refined' and
        'delta' (refined minus coarse).
    """
    names = dict.fromkeys(('dataset', 'name', 'class'), str)
    return pd.read_csv(path, dtype=names, keep_default_na=False, **EXACT)


def read_means(path: str | Path) -> tuple[dict[str, float], int]:
    """Average a file of per-image results: over the images of each class, then over the classes.

    Args:
        path (str | Path): The CSV file that `RefinementMetric` wrote.

    Returns:
        tuple[dict[str, float], int]: ``{stage}/{metric}`` as `comparison_table` takes it, and the number of images.
    """
    rows = read_rows(path)
    return mean_over_classes(rows), count_images(rows)


def count_images(rows: pd.DataFrame) -> int:
    """The number of images, whatever the number of classes."""
    return len(rows[['dataset', 'name']].drop_duplicates())


def mean_over_images(rows: pd.DataFrame) -> dict[str, float]:
    """The mean of every ``{stage}/{metric}`` over the rows; a missing value would make it NaN, not smaller."""
    measured = [f'{stage}/{metric}' for stage in (*STAGES, 'delta') for metric in METRICS]
    return rows[[column for column in measured if column in rows]].mean(skipna=False).to_dict()


def mean_over_classes(rows: pd.DataFrame) -> dict[str, float]:
    """The mean over the images of each class, then over the classes, each of the same weight however rare it is.

    Most of the images of a rare class do not have it and count as 1 where it was not found either. What a model does
    with the class itself is therefore told apart, by `summarise_class`.
    """
    by_class = pd.DataFrame([mean_over_images(part) for _, part in rows.groupby('class')])
    return by_class.mean(skipna=False).to_dict()


def win_tie_loss(rows: pd.DataFrame) -> dict[str, int]:
    """Count the rows that refining made better, left as they were, or made worse.

    Args:
        rows (pd.DataFrame): With ``delta/Dice``.

    Returns:
        dict[str, int]: ``win``, ``tie`` and ``loss``; a tie is a Dice that changed by less than 0.005.
    """
    change = rows['delta/Dice']
    return dict(win=int((change >= TIE).sum()), tie=int((change.abs() < TIE).sum()), loss=int((change <= -TIE).sum()))


def size_strata(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Group the rows by the size of the lesion: its area in the ground truth as a share of the image's.

    Returns:
        dict[str, pd.DataFrame]: The rows of 'none' (an empty ground truth), 'small' (less than 2 %), 'medium' (2 % to
        10 %) and 'large' (more than 10 %), in this order; some may have no row.
    """
    share = rows['area/ground_truth'] / rows['area/image']
    masks = dict(
        none=share == 0,
        small=(share > 0) & (share < SMALL),
        medium=(share >= SMALL) & (share <= LARGE),
        large=share > LARGE,
    )
    return {name: rows[mask] for name, mask in masks.items()}


def summarise_class(rows: pd.DataFrame) -> dict[str, dict]:
    """What there is to say on the rows of one class, in all and apart by the size of the lesion.

    Returns:
        dict[str, dict]: `summarise` of 'all' rows, of those 'present' in the ground truth, and of each of
        `size_strata`.
    """
    parts = dict(all=rows, present=rows[rows['area/ground_truth'] > 0], **size_strata(rows))
    return {name: summarise(part) for name, part in parts.items()}


def summarise(rows: pd.DataFrame) -> dict:
    """What there is to say on some rows.

    Returns:
        dict: ``images``, their number; ``means`` of every ``{stage}/{metric}``; ``missed`` and ``invented`` by stage,
        the masks that are empty where the ground truth is not, and the other way round; and `win_tie_loss` where there
        are both stages.
    """
    stages = [stage for stage in STAGES if f'{stage}/Dice' in rows]
    summary = dict(images=len(rows), means=mean_over_images(rows) if len(rows) else {})
    for flag in ('missed', 'invented'):
        summary[flag] = {stage: int(rows[f'{flag}/{stage}'].sum()) for stage in stages}
    if 'delta/Dice' in rows:
        summary['win_tie_loss'] = win_tie_loss(rows)
    return summary
