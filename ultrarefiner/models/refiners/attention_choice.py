"""Which attention SAM's image encoder takes, by device: known for CPUs, measured on a GPU."""

from __future__ import annotations

from statistics import median

import torch
from torch import Tensor

from ...utils.timed import timed
from .fused_attention import biased_attention, folded_attention
from .plain_attention import plain_attention
from .tiled_attention import tiled_attention

ATTENTIONS = dict(tiled=tiled_attention, folded=folded_attention, biased=biased_attention, plain=plain_attention)
REPEATS = 5
_fastest: dict[tuple, str] = {}


def choose_attention(
    qkv: Tensor, filler: Tensor | None, rows: Tensor, columns: Tensor, heads: int, window_size: int
) -> str:
    """The attention for arguments like these.

    On a CPU tiles are as fast as anything and need the least memory (`tools/analysis_tools/benchmark.py encoder`). On a
    GPU the fused kernels are each tried once for every kind of arguments, as ``torch.backends.cudnn.benchmark`` does it
    for convolutions; all of them are exact, but they round differently. Nothing is measured, and a window takes its
    bias as it is while a whole grid folds it in, under ``torch.use_deterministic_algorithms`` and ``torch.compile``.

    Args:
        qkv (Tensor): As for `biased_attention`, like all that follow.
        filler (Tensor | None): (3C, ).
        rows (Tensor): (h, h, D).
        columns (Tensor): (w, w, D).
        heads (int): Number of heads.
        window_size (int): Side of a window in tokens; 0 for the whole grid.

    Returns:
        str: One of `ATTENTIONS`.
    """
    if qkv.device.type == 'cpu':
        return 'tiled'
    if torch.compiler.is_compiling() or torch.are_deterministic_algorithms_enabled():
        return 'biased' if window_size else 'folded'
    trained = torch.is_grad_enabled() and qkv.requires_grad
    kind = (qkv.device, qkv.dtype, qkv.shape, heads, window_size, filler is None, trained)
    if kind not in _fastest:
        arguments = [qkv, filler, rows, columns]
        arguments = [x if x is None else x.detach().requires_grad_(trained) for x in arguments]
        seconds = {name: seconds_of(name, *arguments, heads, window_size) for name in ('biased', 'folded')}
        _fastest[kind] = min(seconds, key=seconds.get)
    return _fastest[kind]


def seconds_of(name: str, *arguments) -> float:
    """Median time of an attention, with its backward pass if there is one; infinite where memory is too small."""
    qkv = arguments[0]

    def run() -> None:
        with torch.set_grad_enabled(qkv.requires_grad):
            result = ATTENTIONS[name](*arguments)
        if qkv.requires_grad:
            torch.autograd.grad(result.sum(), qkv)

    try:
        return median(timed(run, qkv.device)[1] for _ in range(REPEATS))
    except torch.OutOfMemoryError:
        return float('inf')
