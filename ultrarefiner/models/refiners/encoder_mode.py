"""How an image encoder trains: not at all, throughout, or through an adapter."""

from __future__ import annotations

from torch import nn

from ...interfaces import BaseAdapter
from ...registry import ADAPTERS
from ...utils.freeze import freeze


def set_encoder_mode(encoder: nn.Module, mode: str | dict, owner: str) -> BaseAdapter | None:
    """Freeze an image encoder, leave it as it is, or put an adapter into it.

    Args:
        encoder (nn.Module): Changed in place.
        mode (str | dict): 'frozen', 'trained' or the config of an adapter.
        owner (str): The refiner's class, for messages.

    Returns:
        BaseAdapter | None: The adapter, if there is one.

    Raises:
        ValueError: If the mode is none of those.
    """
    if isinstance(mode, dict):
        adapter = ADAPTERS.build(mode)
        adapter.inject(encoder)
        return adapter
    if mode == 'frozen':
        freeze(encoder)
    elif mode != 'trained':
        raise ValueError(
            f"{owner}: encoder is {mode!r}, expected 'frozen', 'trained' or the config of an adapter, such as "
            "dict(type='LoRAAdapter', r=4)"
        )
    return None
