"""Stage losses: per image, then averaged; a perfect mask costs less than an empty one, that less than an inverted one."""

from .predicted_iou_mse import PredictedIoUMSE
from .stage_bce import StageBCE
from .stage_cross_entropy import StageCrossEntropy
from .stage_dice import StageDice

__all__ = ['PredictedIoUMSE', 'StageBCE', 'StageCrossEntropy', 'StageDice']
