"""Where the pixels are, in normalised coordinates."""

import torch
from torch import Tensor


def pixel_centres(length: int, like: Tensor) -> Tensor:
    """The normalised centres (length, ) of a row of pixels: (i + 0.5) / length.

    They have the device of ``like``, and its precision but for half precision, which cannot tell pixels apart (128.5 is
    no bfloat16 number): then float32.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    return (torch.arange(length, device=like.device, dtype=dtype) + 0.5) / length
