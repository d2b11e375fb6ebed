"""Hooks: checkpoints, reports and pictures; what happens beside training."""

from .best_checkpoint_hook import BestCheckpointHook
from .corruption_epoch_hook import CorruptionEpochHook
from .missed_validation_hook import MissedValidationHook
from .non_finite_loss_hook import NonFiniteLossHook
from .stage_visualization_hook import StageVisualizationHook
from .trainable_checkpoint_hook import TrainableCheckpointHook
from .trainable_report_hook import TrainableReportHook

__all__ = [
    'BestCheckpointHook',
    'CorruptionEpochHook',
    'MissedValidationHook',
    'NonFiniteLossHook',
    'StageVisualizationHook',
    'TrainableCheckpointHook',
    'TrainableReportHook',
]
