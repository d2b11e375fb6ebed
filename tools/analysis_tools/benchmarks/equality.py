"""How far two results are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


def relative_error(ours: object, reference: object) -> float:
    """The L2 norm of the difference over that of the reference, with everything that is given as one vector.

    Args:
        ours (object): A tensor or number, or a mapping or sequence of them, nested at will.
        reference (object): Of the same structure.

    Returns:
        float: 0 for equal ones, even where the reference is zero; NaN where something is not finite.

    Raises:
        ValueError: If the structures or shapes differ.
    """
    difference = norm = 0.0
    own, theirs = dict(_leaves(ours)), dict(_leaves(reference))
    if own.keys() != theirs.keys():
        raise ValueError(f'relative_error: only one side has {sorted(own.keys() ^ theirs.keys())}')
    for name, expected in theirs.items():
        found = own[name]
        if found.shape != expected.shape:
            raise ValueError(f'relative_error: {name} is {tuple(found.shape)}, expected {tuple(expected.shape)}')
        expected = expected.double()
        difference += float((found.to(expected) - expected).square().sum())
        norm += float(expected.square().sum())
    if difference == 0:
        return 0.0
    return math.sqrt(difference / norm) if norm else math.inf


def _leaves(value: object, name: str = 'value') -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of every tensor and number."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f'{name}.{key}')
    elif isinstance(value, Sequence):
        for index, part in enumerate(value):
            yield from _leaves(part, f'{name}.{index}')
    else:
        yield name, torch.as_tensor(value)
