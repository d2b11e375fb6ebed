"""What a training cost: parameters, time and memory."""

from __future__ import annotations

import resource
import sys

import numpy as np
import torch
from mmengine.runner import Runner

from ..utils.unwrap import unwrap


def training_cost(runner: Runner) -> dict:
    """Measure a finished training, for its record.

    Args:
        runner (Runner): mmengine's, after ``train()``.

    Returns:
        dict: ``parameters`` and ``trainable``, of the whole model; ``seconds`` in training iterations with the loading
        of their data, without validation, over all parts of a training that was resumed, and
        ``seconds_per_iteration``, their median, both None without mmengine's `IterTimerHook`; ``peak_memory``, in
        bytes, of this process.
    """
    parameters = list(unwrap(runner.model).parameters())
    history = runner.message_hub.log_scalars.get('train/time')
    times = None if history is None else history.data[0]
    return dict(
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        seconds=None if times is None else float(times.sum()),
        seconds_per_iteration=None if times is None else float(np.median(times)),
        peak_memory=peak_memory(),
    )


def peak_memory() -> int:
    """The most memory that this process has used, in bytes: of the GPU where there is one, else its resident set."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == 'darwin' else 1024  # kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
