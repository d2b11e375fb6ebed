"""Checkpoints of the original TransUNet code (github.com/Beckschen/TransUNet), and their translation to ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

NORM = ('weight', 'bias')
BATCH_NORM = (*NORM, 'running_mean', 'running_var', 'num_batches_tracked')
DECODER_BLOCKS = 4
RESNET = 'transformer.embeddings.hybrid_model'
POSITIONS = 'transformer.embeddings.position_embeddings'


def read_transunet_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict as the original code saves it, and as wrappers around it do.

    Args:
        path (str | Path): A state dict, alone or under 'model' or 'state_dict', its names with or without 'module.'.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read safely, or holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} not found; expected a checkpoint of the original TransUNet code, as its trainer.py saves it'
        )
    try:
        loaded = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f'{path} cannot be read as weights alone ({reason}); if it holds other objects too, save its state dict '
            'alone: torch.save(model.state_dict(), path)'
        ) from error
    for wrapper in ('model', 'state_dict'):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        found = sorted(map(str, loaded))[:10] if isinstance(loaded, dict) else type(loaded).__name__
        raise ValueError(f"{path} holds no state dict, alone or under 'model' or 'state_dict'; found {found}")
    return {name.removeprefix('module.'): value for name, value in loaded.items()}


def convert_transunet_checkpoint(
    original: dict[str, Tensor], block_units: tuple[int, ...] = (3, 4, 9), num_layers: int = 12
) -> dict[str, Tensor]:
    """Rename the entries of the original's state dict, and join query, key and value.

    Args:
        original (dict[str, Tensor]): 409 entries for R50-ViT-B_16.
        block_units (tuple[int, ...]): Bottlenecks in each stage of the ResNet.
        num_layers (int): Transformer blocks.

    Returns:
        dict[str, Tensor]: For `EncoderDecoder` of `TransUNetBackbone` and `TransUNetHead`.

    Raises:
        ValueError: If entries are missing or left over; the message lists them.
    """
    names = dict(_names(block_units, num_layers))
    expected = {source for sources in names.values() for source in sources}
    missing, surplus = sorted(expected - original.keys()), sorted(original.keys() - expected)
    if missing or surplus:
        raise ValueError(
            f'not a TransUNet checkpoint with block_units={tuple(block_units)} and num_layers={num_layers}: missing '
            f'{missing}, surplus {surplus}'
        )
    return {
        ours: original[sources[0]] if len(sources) == 1 else torch.cat([original[source] for source in sources])
        for ours, sources in names.items()
    }


def describe_transunet_checkpoint(original: dict[str, Tensor]) -> dict[str, int]:
    """What the config needs to know: the image size in pixels (the original's are square) and the number of classes."""
    side = math.isqrt(original[POSITIONS].shape[1])
    return dict(img_size=16 * side, num_classes=original['segmentation_head.0.bias'].shape[0])


def _names(block_units: tuple[int, ...], num_layers: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Pairs (our name, the original's name, or names to be joined along the first dimension)."""
    yield 'backbone.position_embedding', (POSITIONS,)
    yield from _members('backbone.patch_embedding', 'transformer.embeddings.patch_embeddings', NORM)
    yield from _members('backbone.resnet.root.0', f'{RESNET}.root.conv', ('weight',))
    yield from _members('backbone.resnet.root.1', f'{RESNET}.root.gn', NORM)
    for stage, units in enumerate(block_units):
        for unit in range(units):
            yield from _bottleneck_names(stage, unit)
    for layer in range(num_layers):
        yield from _layer_names(layer)
    yield from _members('backbone.norm', 'transformer.encoder.encoder_norm', NORM)
    yield from _conv_bn_names('decode_head.stem', 'decoder.conv_more')
    for block in range(DECODER_BLOCKS):
        for conv in ('conv1', 'conv2'):
            yield from _conv_bn_names(f'decode_head.blocks.{block}.{conv}', f'decoder.blocks.{block}.{conv}')
    yield from _members('decode_head.conv_seg', 'segmentation_head.0', NORM)


def _bottleneck_names(stage: int, unit: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    ours, theirs = f'backbone.resnet.stages.{stage}.{unit}', f'{RESNET}.body.block{stage + 1}.unit{unit + 1}'
    for index in (1, 2, 3):
        yield from _members(f'{ours}.conv{index}', f'{theirs}.conv{index}', ('weight',))
        yield from _members(f'{ours}.norm{index}', f'{theirs}.gn{index}', NORM)
    if unit == 0:
        yield from _members(f'{ours}.shortcut.0', f'{theirs}.downsample', ('weight',))
        yield from _members(f'{ours}.shortcut.1', f'{theirs}.gn_proj', NORM)


def _layer_names(layer: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    ours, theirs = f'backbone.blocks.{layer}', f'transformer.encoder.layer.{layer}'
    for member in NORM:
        yield f'{ours}.attention.qkv.{member}', tuple(f'{theirs}.attn.{p}.{member}' for p in ('query', 'key', 'value'))
    pairs = {
        'attention.out': 'attn.out',
        'norm1': 'attention_norm',
        'norm2': 'ffn_norm',
        'mlp.0': 'ffn.fc1',
        'mlp.3': 'ffn.fc2',
    }
    for our_part, their_part in pairs.items():
        yield from _members(f'{ours}.{our_part}', f'{theirs}.{their_part}', NORM)


def _conv_bn_names(ours: str, theirs: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _members(f'{ours}.conv', f'{theirs}.0', ('weight',))
    yield from _members(f'{ours}.bn', f'{theirs}.1', BATCH_NORM)


def _members(ours: str, theirs: str, members: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for member in members:
        yield f'{ours}.{member}', (f'{theirs}.{member}',)
