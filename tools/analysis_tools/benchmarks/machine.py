"""What the numbers were measured on: names, versions, and the rates that it reaches in the same run."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from ultrarefiner.utils.float32_matmul import MAX_ERROR
from ultrarefiner.utils.timed import timed

from .equality import relative_error
from .harness import matmul_path
from .memory import MIB

REPEATS = 5
SIDES = dict(cpu=4096, cuda=8192)  # Of the square matrices that are multiplied.
SMALL_SIDE = 256
COPY_MIB = dict(cpu=256, cuda=2048)
SMALL_COPY_MIB = 4


@dataclass(frozen=True)
class MatmulPeaks:
    """The best rate of a product of two square matrices, in GFLOP/s.

    Args:
        side (int): Of the matrices.
        highest (float): In float32, as PyTorch comes.
        medium (float): In float32 with `torch.set_float32_matmul_precision('medium')`.
        bf16 (float): In bfloat16.
        medium_error (float): Relative error of 'medium' against 'highest'. 1e-6 on most CPUs, which choose another
            library; a CPU with AMX computes in bfloat16 there, a GPU in TF32.
    """

    side: int
    highest: float
    medium: float
    bf16: float
    medium_error: float

    @property
    def fast_matmul(self) -> str:
        """str: 'medium' where that computes in float32, else 'highest'."""
        return 'medium' if self.medium_error < MAX_ERROR else 'highest'

    @property
    def fp32(self) -> float:
        """float: The most that is reached in float32."""
        return max(self.highest, getattr(self, self.fast_matmul))


@cache
def matmul_peaks(device: str, size: str) -> MatmulPeaks:
    """Measure them, once a process.

    Args:
        device (str): 'cpu' or 'cuda'.
        size (str): 'full' or 'small'.
    """
    side = SMALL_SIDE if size == 'small' else SIDES[device]
    a, b = torch.randn(2, side, side, device=device)
    a16, b16 = a.bfloat16(), b.bfloat16()
    flops = 2 * side**3
    with matmul_path('highest'):
        highest, exact = _best(lambda: a @ b)
    with matmul_path('medium'):
        medium, other = _best(lambda: a @ b)
    bf16, _ = _best(lambda: a16 @ b16)
    rates = (flops / seconds / 1e9 for seconds in (highest, medium, bf16))
    return MatmulPeaks(side, *rates, medium_error=relative_error(other, exact))


def copy_bandwidth(device: str, size: str) -> float:
    """Bytes read and written by a copy in memory, in GB/s."""
    mib = SMALL_COPY_MIB if size == 'small' else COPY_MIB[device]
    source = torch.ones(mib * MIB, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best(lambda: target.copy_(source))[0] / 1e9


def describe(device: str, size: str) -> dict:
    """The machine as it goes into the report; keys name their units."""
    peaks = matmul_peaks(device, size)
    found = dict(
        device=torch.cuda.get_device_name() if device == 'cuda' else cpu_name(),
        cpu=cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        measured_at=time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        matmul_side=peaks.side,
        matmul_fp32_gflops_per_s=peaks.fp32,
        matmul_fp32_highest_gflops_per_s=peaks.highest,
        matmul_fp32_medium_gflops_per_s=peaks.medium,
        matmul_fp32_medium_relative_error=peaks.medium_error,
        matmul_bf16_gflops_per_s=peaks.bf16,
        copy_gb_per_s=copy_bandwidth(device, size),
    )
    if device == 'cuda':
        found['device_memory_mib'] = torch.cuda.get_device_properties(0).total_memory / MIB
    return found


def cpu_name() -> str:
    """The name that the processor gives itself."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def _best(run) -> tuple[float, torch.Tensor]:
    """The shortest of a few runs in seconds, after one that is not counted, and what it returned."""
    run()
    runs = [timed(run) for _ in range(REPEATS)]
    result, seconds = min(runs, key=lambda item: item[1])
    return seconds, result
