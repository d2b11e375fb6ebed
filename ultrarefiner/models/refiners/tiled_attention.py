"""Attention with decomposed relative position in tiles of scores, for the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .token_windows import from_windows, relative_terms, sum_of_filler, to_windows, unit_vectors

# Of the scores that exist at a time; with as many probabilities they stay in the cache of the third level.
TILE_BYTES = 4 * 2**20


@torch.compiler.disable
def tiled_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> Tensor:
    """The attention of SAM's image encoder, exactly, a tile of scores at a time.

    The backward pass makes the scores anew, so that an autograd graph holds the arguments and nothing else.

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
    return _TiledAttention.apply(qkv, filler, rows, columns, heads, window_size)


class _TiledAttention(torch.autograd.Function):
    """Goes head by head: what one head needs is small and stays in the cache."""

    @staticmethod
    def forward(ctx, qkv, filler, rows, columns, heads, window_size):
        ctx.save_for_backward(qkv, filler, rows, columns)
        ctx.heads, ctx.window_size = heads, window_size
        dim = rows.shape[-1]
        out = qkv.new_empty(*qkv.shape[:3], heads, dim)
        with torch.autocast(qkv.device.type, enabled=False):
            for head in range(heads):
                q, k, v = _of_head(qkv, filler, heads, window_size, head)
                scores = _Scores(q, k, rows, columns)
                attended = torch.empty_like(v)
                for part in scores.tiles():
                    attended[part] = torch.bmm(scores.softmax(part), v[part[0]])
                out[..., head, :] = from_windows(attended.view(-1, *scores.window, dim), qkv.shape[1:3], window_size)
        return out.flatten(3)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):
        qkv, filler, rows, columns = ctx.saved_tensors
        heads, size, grid = ctx.heads, ctx.window_size, qkv.shape[1:3]
        dim = rows.shape[-1]
        grad_out = grad_out.unflatten(-1, (heads, dim))
        grad_qkv = torch.empty_like(qkv)
        by_part = grad_qkv.unflatten(-1, (3, heads, dim))
        nothing = None if filler is None else grad_out.new_zeros(dim)
        # Sums over many tokens, at least in float32 whatever the precision of the rest.
        summed = torch.promote_types(qkv.dtype, torch.float32)
        grad_filler = None if filler is None else filler.new_zeros((3, heads, dim), dtype=summed)
        tables_wanted = any(ctx.needs_input_grad[2:4])
        grad_rows, grad_columns = (torch.zeros_like(table, dtype=summed) for table in (rows, columns))
        with torch.autocast(qkv.device.type, enabled=False):
            for head in range(heads):
                q, k, v = _of_head(qkv, filler, heads, size, head)
                scores = _Scores(q, k, rows, columns)
                grad = to_windows(grad_out[..., head, :], nothing, size).flatten(1, 2).contiguous()
                grad_q, grad_k, grad_v = scores.backward(v, grad)
                grad_q, by_row, by_column = grad_q.split([dim, *scores.window], dim=-1)
                by_row, by_column = (x.unflatten(1, scores.window).to(rows.dtype) for x in (by_row, by_column))
                grad_q = grad_q * dim**-0.5
                grad_q += torch.einsum('bhwk,hkd->bhwd', by_row, rows).flatten(1, 2)
                grad_q += torch.einsum('bhwk,wkd->bhwd', by_column, columns).flatten(1, 2)
                if tables_wanted:
                    q = q.unflatten(1, scores.window)
                    grad_rows += torch.einsum('bhwk,bhwd->hkd', by_row, q)
                    grad_columns += torch.einsum('bhwk,bhwd->wkd', by_column, q)
                for index, part in enumerate((grad_q, grad_k, grad_v)):
                    part = part.unflatten(1, scores.window)
                    by_part[..., index, head, :] = from_windows(part, grid, size)
                    if filler is not None:
                        grad_filler[index, head] = sum_of_filler(part, grid, size)
        if filler is not None:
            grad_filler = grad_filler.flatten().to(filler.dtype)
        return grad_qkv, grad_filler, grad_rows.to(rows.dtype), grad_columns.to(columns.dtype), None, None


class _Scores:
    """The scores of one head's queries and keys (B, L, D), tile by tile; the same buffers serve all tiles.

    The relative terms of a small window are folded into longer queries and keys (see `folded_attention`), where that
    takes fewer passes than it costs products; those of a large one are added.
    """

    def __init__(self, q: Tensor, k: Tensor, rows: Tensor, columns: Tensor):
        self.window = rows.shape[0], columns.shape[0]
        windows, length, self.dim = q.shape
        terms = relative_terms(q.unflatten(1, self.window), rows, columns)
        self.by_row, self.by_column = (term.flatten(1, 2) for term in terms)
        self.queries, self.keys = q * self.dim**-0.5, k
        self.folded = sum(self.window) <= self.dim
        if self.folded:
            self.queries = torch.cat([self.queries, self.by_row, self.by_column], -1)
            self.keys = torch.cat([k, unit_vectors(rows, columns).expand(windows, -1, -1)], -1)
        per_query = length * q.element_size()
        self._rows = max(1, min(length, TILE_BYTES // per_query))
        self._windows = max(1, min(windows, TILE_BYTES // (self._rows * per_query)))
        self.buffers = q.new_empty(3, self._windows * self._rows * length)

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """(windows, queries) of each tile."""
        windows, length, _ = self.queries.shape
        for first in range(0, windows, self._windows):
            for row in range(0, length, self._rows):
                yield slice(first, first + self._windows), slice(row, row + self._rows)

    def softmax(self, part: tuple[slice, slice]) -> Tensor:
        """The probabilities (b, l, L) of a tile, in the second buffer; the first one is free afterwards."""
        scores, keys = self.buffer(0, part), self.keys[part[0]].mT
        if self.folded:
            torch.bmm(self.queries[part], keys, out=scores)
        else:
            by_row, by_column = self.by_row[part], self.by_column[part]
            torch.add(by_row[..., None], by_column[..., None, :], out=scores.unflatten(-1, self.window))
            scores.baddbmm_(self.queries[part], keys)
        return torch.softmax(scores, -1, out=self.buffer(1, part))

    def backward(self, v: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients through the attention's result.

        Args:
            v (Tensor): (B, L, D) values.
            grad (Tensor): (B, L, D) of the result.

        Returns:
            tuple[Tensor, Tensor, Tensor]: Of scaled queries and their relative terms (B, L, D + h + w), keys and values
            (B, L, D), at least in float32.
        """
        summed = dict(dtype=torch.promote_types(v.dtype, torch.float32), device=v.device)
        grad_q = torch.empty(*v.shape[:2], self.dim + sum(self.window), **summed)
        # Transposed: the products that make them are faster.
        grad_k, grad_v = torch.zeros(2, *v.mT.shape, **summed)
        for part in self.tiles():
            windows = part[0]
            probabilities = self.softmax(part)
            grad_v[windows] += torch.bmm(grad[part].mT, probabilities)
            of_probabilities = torch.bmm(grad[part], v[windows].mT, out=self.buffer(0, part))
            slopes = torch._softmax_backward_data(
                of_probabilities, probabilities, -1, v.dtype, grad_input=self.buffer(2, part)
            )
            grad_k[windows] += torch.bmm(self.queries[part][..., : self.dim].mT, slopes)
            of_queries = torch.bmm(slopes, self.keys[windows])
            if not self.folded:
                by_grid = slopes.unflatten(-1, self.window)
                of_queries = torch.cat([of_queries, by_grid.sum(-1), by_grid.sum(-2)], -1)
            grad_q[part] = of_queries
        return grad_q, grad_k.mT, grad_v.mT

    def buffer(self, index: int, part: tuple[slice, slice]) -> Tensor:
        """A buffer in the shape (b, l, L) of a tile's scores."""
        windows, queries = self.queries[part].shape[:2]
        length = self.keys.shape[1]
        return self.buffers[index, : windows * queries * length].view(windows, queries, length)


def _of_head(qkv: Tensor, filler: Tensor | None, heads: int, size: int, head: int) -> list[Tensor]:
    """Queries, keys and values (B, L, D) of a head, each in one piece."""
    parts = qkv.unflatten(-1, (3, heads, -1))[..., head, :].unbind(3)
    fillers = (None,) * 3 if filler is None else filler.view(3, heads, -1)[:, head]
    return [to_windows(part, fill, size).flatten(1, 2).contiguous() for part, fill in zip(parts, fillers)]
