"""Hooks: checkpoints, reports and pictures; what happens beside training."""

from .best_checkpoint_hook import BestCheckpointHook
from .coarse_guard_hook import CoarseGuardHook
from .dataset_epoch_hook import DatasetEpochHook
from .frozen_norm_hook import FrozenNormHook
from .memory_watch_hook import MemoryWatchHook
from .missed_validation_hook import MissedValidationHook
from .non_finite_loss_hook import NonFiniteLossHook
from .restore_coarse_hook import RestoreCoarseHook
from .stage_visualization_hook import StageVisualizationHook
from .staged_unfreeze_hook import StagedUnfreezeHook
from .stop_on_coarse_drop_hook import StopOnCoarseDropHook
from .trainable_checkpoint_hook import TrainableCheckpointHook
from .trainable_report_hook import TrainableReportHook

__all__ = [
    'BestCheckpointHook',
    'CoarseGuardHook',
    'DatasetEpochHook',
    'FrozenNormHook',
    'MemoryWatchHook',
    'MissedValidationHook',
    'NonFiniteLossHook',
    'RestoreCoarseHook',
    'StageVisualizationHook',
    'StagedUnfreezeHook',
    'StopOnCoarseDropHook',
    'TrainableCheckpointHook',
    'TrainableReportHook',
]
