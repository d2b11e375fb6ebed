"""Every nn.Module that a config can name; a file a component, found by its snake-cased name."""

import warnings

with warnings.catch_warnings():
    # mmcv says what it lacks without compiled operators, which nothing here needs.
    warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
    import mmseg.models  # noqa: F401

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
