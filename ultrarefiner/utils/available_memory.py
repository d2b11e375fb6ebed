"""How much of the memory is left, on the machine or in the container."""

from __future__ import annotations

from pathlib import Path

import psutil

CGROUP = Path('/sys/fs/cgroup')


def available_memory() -> float:
    """The share of memory that is still available, in [0, 1]; where the container has a limit, of that limit."""
    memory = psutil.virtual_memory()
    shares = [memory.available / memory.total]
    try:
        limit = (CGROUP / 'memory.max').read_text().strip()
        if limit != 'max':
            shares.append(1 - int((CGROUP / 'memory.current').read_text()) / int(limit))
    except OSError:
        pass  # Not Linux, or no control group of the second version.
    return max(0.0, min(shares))
