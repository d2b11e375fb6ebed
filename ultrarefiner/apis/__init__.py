"""What the tools are made of, for use from Python too."""

from .config import load_config
from .inference.augmentation import Augmentation
from .inference.inferencer import UltraRefinerInferencer
from .inference.prediction import Prediction
from .inference.prediction_writer import PredictionWriter
from .init_model import init_model
from .launch import build_runner, start_process_group
from .model import build_model
from .model_zoo import ModelInfo, find_model, list_models
from .phases import Pipeline

__all__ = [
    'Augmentation',
    'ModelInfo',
    'Pipeline',
    'Prediction',
    'PredictionWriter',
    'UltraRefinerInferencer',
    'build_model',
    'build_runner',
    'find_model',
    'init_model',
    'list_models',
    'load_config',
    'start_process_group',
]
