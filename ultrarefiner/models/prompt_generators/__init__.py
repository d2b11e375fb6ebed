"""Prompt generators: coarse logits in, points, boxes and masks out; one idea a file."""

from .compose_prompts import ComposePrompts
from .distance_centre_point import DistanceCentrePoint
from .gaussian_mask_prompt import GaussianMaskPrompt
from .grid_points import GridPoints
from .jitter_box import JitterBox
from .learnable_mask_prompt import LearnableMaskPrompt
from .logit_mask_prompt import LogitMaskPrompt
from .mask_prompt import MaskPrompt
from .moment_box import MomentBox
from .negative_point import NegativePoint
from .outside_point import OutsidePoint
from .point_dropout import PointDropout
from .random_prompt_subset import RandomPromptSubset
from .signed_distance_mask_prompt import SignedDistanceMaskPrompt
from .soft_argmax_point import SoftArgmaxPoint
from .soft_extremes_box import SoftExtremesBox
from .soft_quantile_box import SoftQuantileBox
from .straight_through_box import StraightThroughBox
from .threshold_box import ThresholdBox

__all__ = [
    'ComposePrompts',
    'DistanceCentrePoint',
    'GaussianMaskPrompt',
    'GridPoints',
    'JitterBox',
    'LearnableMaskPrompt',
    'LogitMaskPrompt',
    'MaskPrompt',
    'MomentBox',
    'NegativePoint',
    'OutsidePoint',
    'PointDropout',
    'RandomPromptSubset',
    'SignedDistanceMaskPrompt',
    'SoftArgmaxPoint',
    'SoftExtremesBox',
    'SoftQuantileBox',
    'StraightThroughBox',
    'ThresholdBox',
]
