"""Corruption: true masks made wrong as coarse networks are wrong, in units of the lesion's own size."""

from .geometry import UnreachableError
from .measures import dice, measure
from .presets import ERROR_TYPES, PRESETS, Preset, load_preset
from .sampling import Corruption, corrupt, corruption_rng

__all__ = [
    'ERROR_TYPES',
    'PRESETS',
    'Corruption',
    'Preset',
    'UnreachableError',
    'corrupt',
    'corruption_rng',
    'dice',
    'load_preset',
    'measure',
]
