"""What the tools are made of, for use from Python too."""

from .config import load_config
from .launch import build_runner, start_process_group
from .model import build_model
from .model_zoo import ModelInfo, find_model, list_models
from .phases import Pipeline

__all__ = [
    'ModelInfo',
    'Pipeline',
    'build_model',
    'build_runner',
    'find_model',
    'list_models',
    'load_config',
    'start_process_group',
]
