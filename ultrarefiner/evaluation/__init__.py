"""Evaluation: per-image metrics, averaged, for coarse, refined and delta."""

from .boundary_iou import boundary_iou
from .metric import METRICS, Metric
from .overlap import overlap
from .refinement_metric import RefinementMetric
from .surface_distances import surface_distances
from .table import comparison_table

__all__ = ['METRICS', 'Metric', 'RefinementMetric', 'boundary_iou', 'comparison_table', 'overlap', 'surface_distances']
