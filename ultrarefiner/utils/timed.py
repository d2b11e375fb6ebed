"""How long something takes, the work of a GPU included."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def timed(run: Callable[[], object], device: torch.device | None = None) -> tuple[object, float]:
    """What a run returns, and its seconds.

    Args:
        run (Callable[[], object]): What is timed.
        device (torch.device, optional): Where it computes. None is the current GPU, where one is in use.
    """
    synchronize(device)
    start = time.perf_counter()
    result = run()
    synchronize(device)
    return result, time.perf_counter() - start


def synchronize(device: torch.device | None = None) -> None:
    """Wait for a GPU; nothing where the device is none, or no GPU is in use."""
    if torch.cuda.is_initialized() and (device is None or device.type == 'cuda'):
        torch.cuda.synchronize(device)
