"""Evaluation: per-image metrics, averaged, for coarse, refined and delta."""

from .overlap import METRICS, overlap
from .refinement_metric import RefinementMetric
from .table import comparison_table

__all__ = ['METRICS', 'RefinementMetric', 'comparison_table', 'overlap']
