"""Parts of a model that a hook freezes, by the names that a config gives them."""

from __future__ import annotations

import difflib
import re

from mmengine.model import is_model_wrapper
from torch import nn


def find_parts(model: nn.Module, pattern: str) -> dict[str, nn.Module]:
    """The modules whose whole path a regular expression matches, by path.

    Args:
        model (nn.Module): The model, unwrapped.
        pattern (str): Such as 'coarse', 'refiner.mask_decoder', or 'refiner[.]image_encoder[.]blocks[.][01]'.

    Raises:
        ValueError: If it matches nothing.
    """
    paths = {path: part for path, part in model.named_modules() if path}
    parts = {path: part for path, part in paths.items() if re.fullmatch(pattern, path)}
    if not parts:
        nearest = difflib.get_close_matches(pattern, paths, n=3) or [name for name, _ in model.named_children()]
        raise ValueError(
            f'{pattern!r} matches no part of {type(model).__name__}; it has to match a whole path, such as '
            f'{", ".join(nearest)}'
        )
    return parts


def check_late_freezing(model: nn.Module, hook: str) -> None:
    """Check that weights may be frozen after the model was wrapped for distributed training.

    Args:
        model (nn.Module): As the Runner holds it.
        hook (str): Who freezes, for the message.

    Raises:
        ValueError: If the wrapper waits for a gradient of every weight that was trainable when it was made.
    """
    if is_model_wrapper(model) and not getattr(model, 'find_unused_parameters', False):
        raise ValueError(
            f'{hook} freezes weights of a model that is wrapped for distributed training already, and the wrapper '
            'would wait for their gradient; set find_unused_parameters=True in the config'
        )
