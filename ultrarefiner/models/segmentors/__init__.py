"""Segmentors: the composition of the stages, and coarse networks of our own."""

from .coarse_to_fine import CoarseToFine
from .precomputed_coarse import PrecomputedCoarse

__all__ = ['CoarseToFine', 'PrecomputedCoarse']
