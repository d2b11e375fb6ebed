"""The table of metrics: what every table and file knows about a metric beside its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Args:
        unit (str): '' for a share in [0, 1].
        higher_is_better (bool): False for a distance, of which a negative change is an improvement.
        digits (int): Digits behind the point.
    """

    unit: str = ''
    higher_is_better: bool = True
    digits: int = 4


# Written by `overlap`.
OVERLAP = {name: Metric() for name in ('Dice', 'IoU', 'Precision', 'Recall', 'Accuracy')}
# Written by `surface_distances`.
SURFACE = dict(
    HD95=Metric(unit='px', higher_is_better=False, digits=2),
    ASSD=Metric(unit='px', higher_is_better=False, digits=2),
    NSD=Metric(),
)
# Beside the overlap: those, and `boundary_iou`.
BOUNDARY = dict(SURFACE, BoundaryIoU=Metric())
METRICS = {**OVERLAP, **BOUNDARY}
