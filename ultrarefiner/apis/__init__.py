"""What the tools are made of, for use from Python too."""

from .config import load_config
from .launch import build_runner, start_process_group
from .model import build_model
from .phases import Pipeline

__all__ = ['Pipeline', 'build_model', 'build_runner', 'load_config', 'start_process_group']
