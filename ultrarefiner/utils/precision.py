"""What a device computes in under autocast."""

from __future__ import annotations

import torch
from mmengine.device import get_device

PRECISIONS = ('bfloat16', 'float16')


def suitable_precision() -> str:
    """bfloat16 on CPUs and on every GPU that has it, float16 on an older GPU."""
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        return 'float16'
    return 'bfloat16'


def check_precision(precision: str | torch.dtype) -> torch.dtype:
    """The dtype of a name.

    Raises:
        ValueError: If it is no half precision, or the device has no autocast in it.
    """
    name = str(precision).removeprefix('torch.')
    if name not in PRECISIONS:
        raise ValueError(f'mixed precision in {name}: expected one of {", ".join(PRECISIONS)}')
    if name == 'float16' and get_device() == 'cpu':
        raise ValueError('mixed precision in float16 needs a GPU, and there is none: take bfloat16')
    return getattr(torch, name)


def precision_of(optim_wrapper) -> str:
    """The precision that an optimizer wrapper trains in."""
    return str(getattr(optim_wrapper, 'cast_dtype', None) or torch.float32).removeprefix('torch.')
