"""Prompt generators: coarse logits in, points, boxes and masks out; one idea a file."""

from .compose_prompts import ComposePrompts
from .distance_centre_point import DistanceCentrePoint
from .logit_mask_prompt import LogitMaskPrompt
from .mask_prompt import MaskPrompt
from .moment_box import MomentBox
from .negative_point import NegativePoint
from .soft_argmax_point import SoftArgmaxPoint
from .soft_quantile_box import SoftQuantileBox
from .straight_through_box import StraightThroughBox
from .threshold_box import ThresholdBox

__all__ = [
    'ComposePrompts',
    'DistanceCentrePoint',
    'LogitMaskPrompt',
    'MaskPrompt',
    'MomentBox',
    'NegativePoint',
    'SoftArgmaxPoint',
    'SoftQuantileBox',
    'StraightThroughBox',
    'ThresholdBox',
]
