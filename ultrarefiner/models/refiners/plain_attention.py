"""Attention with decomposed relative position in plain products, for graphs that leave PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from .token_windows import from_windows, relative_terms, to_windows


def plain_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> Tensor:
    """The attention of SAM's image encoder, a head at a time: nothing but products, sums and a softmax.

    So every runtime knows it, and the scores of one head are all that exists at a time: 64 MiB an image at full size.

    Args:
        qkv (Tensor): As for `biased_attention`, like all that follow.
        filler (Tensor | None): (3C, ).
        rows (Tensor): (h, h, D).
        columns (Tensor): (w, w, D).
        heads (int): Number of heads.
        window_size (int): Side of a window in tokens; 0 for the whole grid.

    Returns:
        Tensor: (N, H, W, C).
    """
    window = rows.shape[0], columns.shape[0]
    windows = to_windows(qkv, filler, window_size).unflatten(-1, (3, heads, -1))  # (B, h, w, 3, heads, D)
    attended = []
    for head in range(heads):
        q, k, v = windows[..., head, :].unbind(3)
        by_row, by_column = relative_terms(q, rows, columns)
        bias = (by_row[..., None] + by_column[..., None, :]).flatten(-2).flatten(1, 2)
        scores = (q * q.shape[-1] ** -0.5).flatten(1, 2) @ k.flatten(1, 2).mT + bias
        attended.append((scores.softmax(-1) @ v.flatten(1, 2)).unflatten(1, window))
    return from_windows(torch.cat(attended, dim=-1), qkv.shape[1:3], window_size)
