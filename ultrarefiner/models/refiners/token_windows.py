"""The windows of SAM's image encoder, and the relative position of their tokens."""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import window_partition, window_unpartition
from torch import Tensor


def to_windows(tokens: Tensor, filler: Tensor | None, size: int) -> Tensor:
    """Cut a grid of tokens into windows; the last ones of a row or column are filled up.

    Args:
        tokens (Tensor): (N, H, W, C).
        filler (Tensor | None): (C, ) the token to fill up with; None where H and W are multiples of the size.
        size (int): Side of a window in tokens; 0 for one window, the whole grid.

    Returns:
        Tensor: (B, h, w, C), the B windows of all images, image by image.
    """
    if size == 0:
        return tokens
    if filler is not None:
        images, height, width, _ = tokens.shape
        filled = filler.repeat(images, _round_up(height, size), _round_up(width, size), 1)
        filled[:, :height, :width] = tokens
        tokens = filled
    return window_partition(tokens, size)[0]


def from_windows(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Put windows together again and drop what filled them up.

    Args:
        windows (Tensor): (B, h, w, C), as `to_windows` gives them.
        grid (tuple[int, int]): (H, W) in tokens.
        size (int): Side of a window in tokens; 0 for one window, the whole grid.

    Returns:
        Tensor: (N, H, W, C).
    """
    if size == 0:
        return windows
    return window_unpartition(windows, size, (_round_up(grid[0], size), _round_up(grid[1], size)), grid)


def sum_of_filler(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Sum what stands in the places that fill up windows.

    Args:
        windows (Tensor): (B, h, w, C).
        grid (tuple[int, int]): (H, W) in tokens.
        size (int): Side of a window in tokens.

    Returns:
        Tensor: (C, ).
    """
    height, width = grid
    filled = from_windows(windows, (_round_up(height, size), _round_up(width, size)), size)
    return filled[:, height:].sum((0, 1, 2)) + filled[:, :height, width:].sum((0, 1, 2))


def needs_filler(grid: tuple[int, int], size: int) -> bool:
    """Whether a grid of (H, W) tokens is no whole number of windows."""
    return size > 0 and any(side % size for side in grid)


def relative_terms(query: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """What the distance to a key adds to the score of a query: a term for the key's row and one for its column.

    Args:
        query (Tensor): (..., h, w, D).
        rows (Tensor): (h, h, D) by the row of the query and of the key.
        columns (Tensor): (w, w, D) by the column of the query and of the key.

    Returns:
        tuple[Tensor, Tensor]: (..., h, w, h) and (..., h, w, w), by query and row or column of the key.
    """
    by_row = torch.einsum('...hwd,hkd->...hwk', query, rows)
    by_column = torch.einsum('...hwd,wkd->...hwk', query, columns)
    return by_row, by_column


def unit_vectors(rows: Tensor, columns: Tensor) -> Tensor:
    """What picks a key's own terms from those of `relative_terms`.

    Args:
        rows (Tensor): (h, h, D).
        columns (Tensor): (w, w, D).

    Returns:
        Tensor: (h * w, h + w), for each key the unit vectors of its row and of its column.
    """
    height, width = rows.shape[0], columns.shape[0]
    of_rows = torch.eye(height, dtype=rows.dtype, device=rows.device).repeat_interleave(width, 0)
    of_columns = torch.eye(width, dtype=rows.dtype, device=rows.device).repeat(height, 1)
    return torch.cat([of_rows, of_columns], -1)


def _round_up(length: int, size: int) -> int:
    return -(-length // size) * size
