"""Reading back the per-image results that RefinementMetric writes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .overlap import METRICS


def read_means(path: str | Path) -> tuple[dict[str, float], int]:
    """Average a file of per-image results: over the images of each class, then over the classes.

    Args:
        path (str | Path): The CSV file that `RefinementMetric` wrote.

    Returns:
        tuple[dict[str, float], int]: ``{stage}/{metric}`` as `comparison_table` takes it, and the number of images.
    """
    rows = pd.read_csv(path)
    columns = [column for column in rows.columns if column.partition('/')[2] in METRICS]
    means = rows.groupby('class')[columns].mean().mean()
    return means.to_dict(), len(rows[['dataset', 'name']].drop_duplicates())
