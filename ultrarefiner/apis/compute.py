"""How a process computes on this machine: the allocator and the float32 matrix product, from a config's env_cfg."""

from __future__ import annotations

import torch

from ..utils.cpu_allocator import keep_freed_memory
from ..utils.float32_matmul import PRECISIONS, choose_float32_matmul

ALLOCATORS = ('default', 'keep')
MATMULS = ('fastest', *PRECISIONS)


def prepare_compute(env_cfg: dict) -> list[str]:
    """Set what mmengine does not: ``cpu_allocator`` and ``float32_matmul`` of a config's ``env_cfg``.

    Args:
        env_cfg (dict): ``cpu_allocator`` is 'keep' (see `keep_freed_memory`; nothing is done where there is a GPU) or
            'default', ``float32_matmul`` 'fastest' (see `choose_float32_matmul`) or a precision of torch. What is
            absent stays as it is.

    Returns:
        list[str]: What was done, for the log.

    Raises:
        ValueError: If one is none of those.
    """
    allocator, matmul = env_cfg.get('cpu_allocator', 'default'), env_cfg.get('float32_matmul')
    if allocator not in ALLOCATORS:
        raise ValueError(f'env_cfg.cpu_allocator is {allocator!r}, expected one of {ALLOCATORS}')
    if matmul is not None and matmul not in MATMULS:
        raise ValueError(f'env_cfg.float32_matmul is {matmul!r}, expected one of {MATMULS}')
    done = []
    gpu = torch.cuda.is_available()
    if allocator == 'keep' and not gpu:
        done.append(keep_freed_memory())
    if matmul == 'fastest':
        done.append(choose_float32_matmul(torch.device('cuda' if gpu else 'cpu')))
    elif matmul is not None:
        torch.set_float32_matmul_precision(matmul)
    return done
