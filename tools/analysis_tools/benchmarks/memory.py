"""Peak memory of a run, on the CPU and on a GPU."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import torch

MIB = 2**20
SAMPLING = 1e-3  # Seconds between two looks at the memory.


def return_freed_memory() -> None:
    """Hand freed memory back to the system, so that the resident memory is what is in use."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc has it, others have not
    if trim is not None:
        trim(0)


class PeakMemory:
    """A context that measures the most memory in use within it, over what was in use at its start.

    On the CPU a thread looks at the resident memory every millisecond; on a GPU PyTorch's allocator counts.

    Attributes:
        peak_mib (float): In MiB, once the context has ended.
    """

    def __enter__(self) -> PeakMemory:
        self.peak_mib = 0.0
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._start = torch.cuda.memory_allocated()
            return self
        self._start = self._peak = resident_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        if torch.cuda.is_initialized():
            self._peak = torch.cuda.max_memory_allocated()
        else:
            self._ended.set()
            self._thread.join()
            self._peak = max(self._peak, resident_bytes())
        self.peak_mib = (self._peak - self._start) / MIB

    def _look(self) -> None:
        while not self._ended.wait(SAMPLING):
            self._peak = max(self._peak, resident_bytes())


def resident_bytes() -> int:
    """The memory of this process that is in RAM."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
