"""Transforms: loading with faults named, and packing. Moving pixels is mmseg's."""

from .corrupt_mask import CorruptMask
from .fixed_views import FixedViews
from .load_coarse_prediction import LoadCoarsePrediction
from .load_image import LoadImage
from .load_mask import LoadMask
from .pack_refiner_inputs import PackRefinerInputs

__all__ = ['CorruptMask', 'FixedViews', 'LoadCoarsePrediction', 'LoadImage', 'LoadMask', 'PackRefinerInputs']
