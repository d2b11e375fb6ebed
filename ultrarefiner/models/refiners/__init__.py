"""Refiners, and how they select one of their candidate masks."""

from .argmax_selection import ArgmaxSelection
from .sam_refiner import SAMRefiner
from .softmax_selection import SoftmaxSelection

__all__ = ['ArgmaxSelection', 'SAMRefiner', 'SoftmaxSelection']
