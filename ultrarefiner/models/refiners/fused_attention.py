"""Attention with decomposed relative position through PyTorch's fused attention, for GPUs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .token_windows import from_windows, relative_terms, to_windows, unit_vectors


def biased_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> Tensor:
    """The attention of SAM's image encoder; the relative position is a bias as large as the scores.

    Args:
        qkv (Tensor): (N, H, W, 3C) queries, keys and values of the tokens, each of them head by head.
        filler (Tensor | None): (3C, ) those of the token that fills up windows; None where all windows are full.
        rows (Tensor): (h, h, D) relative position by the rows of query and key in a window; D is C / heads.
        columns (Tensor): (w, w, D) by their columns.
        heads (int): Number of heads.
        window_size (int): Side of a window in tokens; 0 for one window, the whole grid.

    Returns:
        Tensor: (N, H, W, C).
    """
    q, k, v = _split(qkv, filler, heads, window_size)
    by_row, by_column = relative_terms(q, rows, columns)
    bias = (by_row[..., None] + by_column[..., None, :]).flatten(-2).flatten(2, 3)
    q, k, v = (x.flatten(2, 3) for x in (q, k, v))
    return _join(F.scaled_dot_product_attention(q, k, v, attn_mask=bias), rows, columns, qkv, window_size)


def folded_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> Tensor:
    """The attention of SAM's image encoder; the relative position is folded into longer queries and keys.

    A query goes on with its terms for every row and column of keys, a key with the unit vectors of its own row and
    column, so that their product is the score with its bias, and nothing has the size of the scores (Wu et al., 2025,
    FlashBias: a bias of rank R costs R more channels; here R = h + w, exactly).

    Args:
        qkv (Tensor): As for `biased_attention`, like all that follow.
        filler (Tensor | None): (3C, ).
        rows (Tensor): (h, h, D).
        columns (Tensor): (w, w, D).
        heads (int): Number of heads.
        window_size (int): Side of a window in tokens.

    Returns:
        Tensor: (N, H, W, C).
    """
    q, k, v = _split(qkv, filler, heads, window_size)
    q = torch.cat([q * q.shape[-1] ** -0.5, *relative_terms(q, rows, columns)], -1)
    q, k, v = (x.flatten(2, 3) for x in (q, k, v))
    k = torch.cat([k, unit_vectors(rows, columns).expand(*k.shape[:2], -1, -1)], -1)
    return _join(F.scaled_dot_product_attention(q, k, v, scale=1.0), rows, columns, qkv, window_size)


def _split(qkv: Tensor, filler: Tensor | None, heads: int, window_size: int) -> tuple[Tensor, ...]:
    """Queries, keys and values (B, heads, h, w, D) of the windows."""
    windows = to_windows(qkv, filler, window_size)
    return windows.unflatten(-1, (3, heads, -1)).permute(3, 0, 4, 1, 2, 5).unbind()


def _join(attended: Tensor, rows: Tensor, columns: Tensor, qkv: Tensor, window_size: int) -> Tensor:
    """(B, heads, h * w, D) of the windows as (N, H, W, C)."""
    windows = attended.transpose(1, 2).flatten(2).unflatten(1, (rows.shape[0], columns.shape[0]))
    return from_windows(windows, qkv.shape[1:3], window_size)
