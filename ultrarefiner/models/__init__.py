"""Every nn.Module that a config can name; a file a component, found by its snake-cased name."""

from . import (  # noqa: F401
    backbones,
    decode_heads,
    gates,
    losses,
    object_splitters,
    peft,
    prompt_generators,
    refiners,
    regularizers,
    segmentors,
)
from .data_preprocessor import ImagePreprocessor

__all__ = ['ImagePreprocessor']
