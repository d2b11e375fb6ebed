"""Reading Google's R50+ViT weights (an ``.npz`` of a JAX model) into a `TransUNetBackbone`."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

URL = 'https://storage.googleapis.com/vit_models/imagenet21k/R50+ViT-B_16.npz'
POSITIONS = 'Transformer/posembed_input/pos_embedding'
UNUSED = ('cls', 'head/', 'pre_logits/')


class Entry(NamedTuple):
    """Where an array of the file goes.

    Attributes:
        target: The parameter, or a part of one, that it fills.
        shape: The array's shape as published.
        convert: From that shape to the target's.
    """

    target: Tensor
    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor]


def load_transunet_npz(backbone: nn.Module, path: str | Path) -> None:
    """Fill a `TransUNetBackbone` with the weights of a file in the published format.

    Nothing is changed when the file is at fault.

    Args:
        backbone (TransUNetBackbone): Any size; its arguments tell which arrays must be there.
        path (str | Path): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, lacks arrays, has others than expected, or an array has a wrong shape.
    """
    arrays = read_npz(path)
    entries = dict(_entries(backbone))
    _check_names(arrays, entries, path)
    grid = arrays.pop(POSITIONS)
    positions = _positions(grid, backbone, path)
    wrong = [
        f'{name} is {tuple(arrays[name].shape)}, expected {entry.shape}'
        for name, entry in entries.items()
        if tuple(_squeeze_vector(arrays[name], entry.shape).shape) != entry.shape
    ]
    if wrong:
        raise ValueError(f"{path}: the shapes do not fit the backbone's arguments: {'; '.join(wrong)}")
    with torch.no_grad():
        backbone.position_embedding.copy_(positions)
        for name, entry in entries.items():
            entry.target.copy_(entry.convert(_squeeze_vector(arrays[name], entry.shape)))


def read_npz(path: str | Path) -> dict[str, Tensor]:
    """Read the arrays that a backbone uses, without unpickling anything.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no intact ``.npz`` file of numbers.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path} not found. It holds the ImageNet-21k weights of the R50+ViT-B/16 encoder, published at {URL} and '
            'mirrored in the README of github.com/Beckschen/TransUNet. Put it there, or go on with random weights by '
            'init_cfg=None on the backbone.'
        )
    try:
        # np.load takes what is no zip archive for a pickle, and its message then advises to unpickle it.
        if not zipfile.is_zipfile(path):
            raise ValueError('no zip archive')
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if not name.startswith(UNUSED)]
            return {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in names}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f'{path} is no intact .npz file of numeric arrays ({error}); download it again from {URL}'
        ) from error


def _check_names(arrays: dict[str, Tensor], entries: dict[str, Entry], path: str | Path) -> None:
    expected = {*entries, POSITIONS}
    missing = sorted(expected - arrays.keys())
    surplus = sorted(arrays.keys() - expected)
    if missing or surplus:
        raise ValueError(
            f"{path} does not fit the backbone's arguments (block_units, num_layers): missing {missing}, "
            f'surplus {surplus}'
        )


def _positions(published: Tensor, backbone: nn.Module, path: str | Path) -> Tensor:
    """(1, 1 + g * g, D) with the class token first, to (1, L, D) on the backbone's grid."""
    grid, hidden_size = backbone.grid_size, backbone.position_embedding.shape[-1]
    side = math.isqrt(max(published.shape[1] - 1, 0)) if published.ndim == 3 else 0
    if side == 0 or tuple(published.shape) != (1, 1 + side * side, hidden_size):
        raise ValueError(
            f'{path}: {POSITIONS} is {tuple(published.shape)}, expected (1, 1 + g * g, {hidden_size}): a class token '
            'and a square grid'
        )
    tokens = published[:, 1:]
    if (side, side) == tuple(grid):
        return tokens
    maps = tokens.float().transpose(1, 2).unflatten(2, (side, side))
    # Corners stay corners, as in the original's order-1 scipy.ndimage.zoom.
    maps = F.interpolate(maps, size=grid, mode='bilinear', align_corners=True)
    return maps.flatten(2).transpose(1, 2)


def _entries(backbone: nn.Module):
    """Pairs (name, Entry) of everything but the positions."""
    yield from _conv('conv_root', backbone.resnet.root[0])
    yield from _norm('gn_root', backbone.resnet.root[1])
    for stage, bottlenecks in enumerate(backbone.resnet.stages, start=1):
        for unit, bottleneck in enumerate(bottlenecks, start=1):
            prefix = f'block{stage}/unit{unit}'
            for index in (1, 2, 3):
                yield from _conv(f'{prefix}/conv{index}', getattr(bottleneck, f'conv{index}'))
                yield from _norm(f'{prefix}/gn{index}', getattr(bottleneck, f'norm{index}'))
            if isinstance(bottleneck.shortcut, nn.Sequential):
                yield from _conv(f'{prefix}/conv_proj', bottleneck.shortcut[0])
                yield from _norm(f'{prefix}/gn_proj', bottleneck.shortcut[1])
    yield from _conv('embedding', backbone.patch_embedding)
    for layer, block in enumerate(backbone.blocks):
        prefix = f'Transformer/encoderblock_{layer}'
        yield from _norm(f'{prefix}/LayerNorm_0', block.norm1)
        yield from _attention(f'{prefix}/MultiHeadDotProductAttention_1', block.attention)
        yield from _norm(f'{prefix}/LayerNorm_2', block.norm2)
        yield from _dense(f'{prefix}/MlpBlock_3/Dense_0', block.mlp[0])
        yield from _dense(f'{prefix}/MlpBlock_3/Dense_1', block.mlp[3])
    yield from _norm('Transformer/encoder_norm', backbone.norm)


def _conv(name: str, conv: nn.Conv2d):
    outputs, inputs, height, width = conv.weight.shape
    yield (
        f'{name}/kernel',
        Entry(conv.weight, (height, width, inputs, outputs), lambda kernel: kernel.permute(3, 2, 0, 1)),
    )
    if conv.bias is not None:
        yield f'{name}/bias', _vector(conv.bias)


def _norm(name: str, norm: nn.GroupNorm | nn.LayerNorm):
    yield f'{name}/scale', _vector(norm.weight)
    yield f'{name}/bias', _vector(norm.bias)


def _dense(name: str, linear: nn.Linear):
    yield f'{name}/kernel', Entry(linear.weight, (linear.in_features, linear.out_features), Tensor.t)
    yield f'{name}/bias', _vector(linear.bias)


def _attention(name: str, attention: nn.Module):
    size, heads = attention.out.in_features, attention.num_heads
    parts = zip(('query', 'key', 'value'), attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3))
    for part, weight, bias in parts:
        yield f'{name}/{part}/kernel', Entry(weight, (size, heads, size // heads), lambda kernel: kernel.flatten(1).t())
        yield f'{name}/{part}/bias', Entry(bias, (heads, size // heads), Tensor.flatten)
    yield (
        f'{name}/out/kernel',
        Entry(attention.out.weight, (heads, size // heads, size), lambda kernel: kernel.flatten(0, 1).t()),
    )
    yield f'{name}/out/bias', _vector(attention.out.bias)


def _vector(parameter: Tensor) -> Entry:
    return Entry(parameter, tuple(parameter.shape), lambda vector: vector)


def _squeeze_vector(array: Tensor, expected: tuple[int, ...]) -> Tensor:
    """Group norms are published as (1, 1, 1, C)."""
    return array.flatten() if len(expected) == 1 and array.shape[-1:].numel() == array.numel() else array
