"""Refiners, and how they select one of their candidate masks."""

from .argmax_selection import ArgmaxSelection
from .oracle_selection import OracleSelection
from .sam_refiner import SAMRefiner
from .single_mask_selection import SingleMaskSelection
from .softmax_selection import SoftmaxSelection

__all__ = ['ArgmaxSelection', 'OracleSelection', 'SAMRefiner', 'SingleMaskSelection', 'SoftmaxSelection']
