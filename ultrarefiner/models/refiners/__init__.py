"""Refiners, and how they select one of their candidate masks."""

from .argmax_selection import ArgmaxSelection
from .conv_refiner import ConvRefiner
from .gated_refiner import GatedRefiner
from .guarded_refiner import GuardedRefiner
from .identity_refiner import IdentityRefiner
from .iterative_refiner import IterativeRefiner
from .oracle_selection import OracleSelection
from .residual_refiner import ResidualRefiner
from .roi_refiner import ROIRefiner
from .sam_refiner import SAMRefiner
from .segmentor_refiner import SegmentorRefiner
from .single_mask_selection import SingleMaskSelection
from .softmax_selection import SoftmaxSelection
from .transformers_refiner import TransformersRefiner

__all__ = [
    'ArgmaxSelection',
    'ConvRefiner',
    'GatedRefiner',
    'GuardedRefiner',
    'IdentityRefiner',
    'IterativeRefiner',
    'OracleSelection',
    'ResidualRefiner',
    'ROIRefiner',
    'SAMRefiner',
    'SegmentorRefiner',
    'SingleMaskSelection',
    'SoftmaxSelection',
    'TransformersRefiner',
]
