"""Checkpoints that hold only what trained, and the fingerprint of the frozen base they need."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

PARTIAL_KEY = 'ultrarefiner_partial'


def frozen_names(model: nn.Module) -> list[str]:
    """The entries of the state dict that training cannot change.

    These are the parameters without gradient, and the buffers in modules that `freeze` froze. A buffer elsewhere may
    change although its module has no gradient (the statistics of a batch normalisation), so it is not among them.
    """
    still = {id(buffer) for part in model.modules() if getattr(part, 'is_frozen', False) for buffer in part.buffers()}
    # The state dict's own names: a module may give its weights others than `named_parameters` does.
    return [
        name
        for name, value in model.state_dict(keep_vars=True).items()
        if id(value) in still or (isinstance(value, nn.Parameter) and not value.requires_grad)
    ]


def fingerprints(state: dict[str, Tensor], names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each entry's bytes, by name."""
    return {name: hashlib.sha256(_bytes(state[name])).hexdigest() for name in names}


def differing(state: dict[str, Tensor], expected: dict[str, str]) -> list[str]:
    """The names of ``expected`` whose entry in ``state`` is absent or has another fingerprint."""
    present = [name for name in expected if name in state]
    found = fingerprints(state, present)
    return [name for name, value in expected.items() if found.get(name) != value]


def check_base(state: dict[str, Tensor], frozen: dict[str, str], source: str) -> None:
    """Check that a model has the frozen weights that a partial checkpoint was trained on.

    Args:
        state (dict[str, Tensor]): The model's state dict.
        frozen (dict[str, str]): Fingerprints by name, as stored under ``PARTIAL_KEY``.
        source (str): Where the checkpoint comes from, for the message.

    Raises:
        ValueError: If a frozen weight is absent or another one.
    """
    different = differing(state, frozen)
    if different:
        raise ValueError(
            f'{source} holds only trained weights, and {len(different)} of the {len(frozen)} frozen ones that they '
            f'need differ from this run: {shorten(different)}. Use the config, the weight files and the random seed of '
            'the training run'
        )


def shorten(names: Iterable[str], limit: int = 6) -> str:
    """Names for a message: the first few and how many more."""
    names = sorted(names)
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())
