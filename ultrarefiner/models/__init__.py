"""Every nn.Module that a config can name; a file a component, found by its snake-cased name."""

from . import backbones, decode_heads, losses, peft, prompt_generators, refiners, segmentors  # noqa: F401
from .data_preprocessor import ImagePreprocessor

__all__ = ['ImagePreprocessor']
