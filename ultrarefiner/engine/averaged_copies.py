"""The copies of a model that EMAHook averages."""

from __future__ import annotations

from mmengine.hooks import EMAHook
from torch import nn


def averaged_copies(runner) -> list[nn.Module]:
    """The models that hold averaged weights, which are validated in the place of the trained ones; none without EMA.

    `EMAHook` copies the model before the Runner initialises or loads its weights; the copy follows at the first step.
    """
    return [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
