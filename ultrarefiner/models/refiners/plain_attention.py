"""Attention with decomposed relative position in plain products, for graphs that leave PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from .token_windows import from_windows, relative_terms, to_windows


def plain_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> Tensor:
    """The attention of SAM's image encoder as products, sums and a softmax, which every runtime knows.

    The whole grid goes head by head, so that the scores of one head are all that exists at a time: 64 MiB an image at
    full size.

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
    windows = to_windows(qkv, filler, window_size).unflatten(-1, (3, heads, -1)).permute(3, 0, 4, 1, 2, 5)
    at_a_time = heads if window_size else 1
    attended = []
    for q, k, v in zip(*(part.split(at_a_time, dim=1) for part in windows.unbind())):  # (B, heads, h, w, D)
        by_row, by_column = relative_terms(q, rows, columns)
        bias = (by_row[..., None] + by_column[..., None, :]).flatten(-2).flatten(2, 3)
        scores = (q * q.shape[-1] ** -0.5).flatten(2, 3) @ k.flatten(2, 3).mT + bias
        attended.append(scores.softmax(-1) @ v.flatten(2, 3))
    joined = torch.cat(attended, dim=1).transpose(1, 2).flatten(2).unflatten(1, (rows.shape[0], columns.shape[0]))
    return from_windows(joined, qkv.shape[1:3], window_size)
