"""Stage losses: per image, then averaged; for masks perfect < empty < inverted."""

from .predicted_iou_mse import PredictedIoUMSE
from .stage_bce import StageBCE
from .stage_cross_entropy import StageCrossEntropy
from .stage_dice import StageDice

__all__ = ['PredictedIoUMSE', 'StageBCE', 'StageCrossEntropy', 'StageDice']
