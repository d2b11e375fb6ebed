"""Rows of pixels as squares of uniform weight: quantiles of a projection, and what of a row lies between two edges."""

import torch
from torch import Tensor


def soft_quantile(profile: Tensor, level: float) -> Tensor:
    """The position up to which a share of the weight lies; exact and differentiable, as the cumulated weight is linear.

    Args:
        profile (Tensor): (N, K, L), not negative, with a positive sum.
        level (float): In (0, 1).

    Returns:
        Tensor: (N, K), normalised.
    """
    length = profile.shape[-1]
    share = profile / profile.sum(dim=-1, keepdim=True)
    cumulated = share.cumsum(dim=-1)
    # The first pixel up to whose end the cumulated weight reaches the level; ONNX knows no searchsorted.
    index = (cumulated.detach() < level).sum(dim=-1, keepdim=True).clamp(max=length - 1)
    own = share.gather(-1, index)
    before = cumulated.gather(-1, index) - own
    # A crossing in a nearly empty pixel would have an unbounded gradient; the value stays within the pixel.
    fraction = ((level - before) / own.clamp(min=1e-6)).clamp(0, 1)
    return ((index + fraction) / length)[..., 0]


def running_max(profile: Tensor) -> Tensor:
    """The largest value so far along a row.

    Args:
        profile (Tensor): (N, K, L).

    Returns:
        Tensor: (N, K, L).
    """
    if not torch.compiler.is_compiling():
        return profile.cummax(dim=-1).values
    # ONNX knows no cummax.
    so_far = torch.ones(profile.shape[-1], profile.shape[-1], dtype=torch.bool, device=profile.device).tril()
    return profile[..., None, :].masked_fill(~so_far, -torch.inf).amax(dim=-1)


def coverage(low: Tensor, high: Tensor, length: int) -> Tensor:
    """The share of each pixel of a row that lies between two edges.

    Args:
        low (Tensor): (N, K), normalised.
        high (Tensor): (N, K), normalised, not below ``low``.
        length (int): L, the pixels of the row.

    Returns:
        Tensor: (N, K, L) in [0, 1].
    """
    start = torch.arange(length, device=low.device)
    low, high = low[..., None] * length, high[..., None] * length
    return (torch.minimum(start + 1, high) - torch.maximum(start, low)).clamp(min=0)
