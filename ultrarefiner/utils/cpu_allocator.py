"""The C library's allocator: keep large blocks of memory instead of giving them back after each use."""

from __future__ import annotations

import ctypes
import os
import platform
import resource

# Parameters of mallopt(3), and the values that glibc starts with.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: -1, TOP_PAD: 256 * 2**20}
GIVE_BACK = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20, TOP_PAD: 128 * 2**10}
PROBE_BYTES = 64 * 2**20


def keep_freed_memory() -> str:
    """Make glibc keep freed memory for the process, if that saves page faults here.

    glibc maps every block above 32 MiB anew and unmaps it when it is freed, so that each use of a large tensor faults
    in all its pages again. The process keeps its peak of memory afterwards; `give_back_memory` undoes it.

    Returns:
        str: What was found and done, for the log.
    """
    given = [name for name in os.environ if name.startswith('MALLOC_')]
    if given or 'malloc' in os.environ.get('LD_PRELOAD', ''):
        return f'CPU allocator: left as the environment has it ({", ".join(given) or "LD_PRELOAD"})'
    if platform.libc_ver()[0] != 'glibc':
        return 'CPU allocator: left as it is, this is not glibc'
    before = page_faults()
    _set(KEEP)
    after = page_faults()
    if after > before / 2:
        _set(GIVE_BACK)
        return f'CPU allocator: left as it is ({before} page faults for 64 MiB, {after} where memory is kept)'
    return f'CPU allocator: keeps freed memory ({before} page faults for 64 MiB before, {after} now)'


def give_back_memory() -> None:
    """Give what is free back to the system, and from now on whatever is freed."""
    _set(GIVE_BACK)
    _libc().malloc_trim(0)


def page_faults() -> int:
    """Page faults of using a block of 64 MiB, once the allocator has made and freed one like it."""
    libc = _libc()
    for _ in range(2):
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = libc.malloc(PROBE_BYTES)
        libc.memset(block, 1, PROBE_BYTES)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start


def _set(parameters: dict[int, int]) -> None:
    for name, value in parameters.items():
        _libc().mallopt(name, value)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.memset.argtypes, libc.memset.restype = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
    return libc
