"""Stage losses: per image, then averaged; for masks perfect < empty < inverted."""

from .change_penalty import ChangePenalty
from .min_over_candidates_loss import MinOverCandidatesLoss
from .predicted_iou_mse import PredictedIoUMSE
from .stage_bce import StageBCE
from .stage_boundary import StageBoundary
from .stage_cross_entropy import StageCrossEntropy
from .stage_dice import StageDice

__all__ = [
    'StageBoundary',
    'ChangePenalty',
    'MinOverCandidatesLoss',
    'PredictedIoUMSE',
    'StageBCE',
    'StageCrossEntropy',
    'StageDice',
]
