"""The file of one cached embedding: magic, header, tensors, checksum, in words of 64 bits."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

MAGIC = b'UREMBED1'
DTYPES = {str(dtype): dtype for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)}
ROW = 512  # Words that the checksum takes together.


class Part(NamedTuple):
    """Where a file holds a tensor, and as what: stored in ``stored``, wanted back in ``dtype``."""

    start: int
    count: int
    shape: tuple[int, ...]
    stored: torch.dtype
    dtype: torch.dtype


def pack_tensors(tensors: list[Tensor], dtypes: list[torch.dtype], key: str) -> bytes:
    """The bytes of a file.

    Args:
        tensors (list[Tensor]): On the CPU, in the types that are stored.
        dtypes (list[torch.dtype]): The types that a reader wants.
        key (str): What the file is found by; a reader that wants another key refuses it.
    """
    parts = [[str(x.dtype), str(dtype), list(x.shape)] for x, dtype in zip(tensors, dtypes)]
    header = _padded(json.dumps([key, parts]).encode(), b' ')
    payload = b''.join(_padded(x.contiguous().flatten().view(torch.uint8).numpy().tobytes(), b'\0') for x in tensors)
    body = MAGIC + len(header).to_bytes(8, 'little') + header + payload
    return body + checksum(np.frombuffer(body, dtype=np.uint64)).tobytes()


def read_parts(words: np.ndarray, key: str) -> list[Part]:
    """What a file holds, after checking it.

    Args:
        words (np.ndarray): The file, uint64.
        key (str): The key that it has to have.

    Raises:
        ValueError: If it is cut, changed, of another key, or no such file.
    """
    if len(words) < 4 or words[:1].tobytes() != MAGIC:
        raise ValueError('it does not start as one')
    if checksum(words[:-1]) != words[-1]:
        raise ValueError('the checksum does not fit')
    start = 16 + int(words[1])
    try:
        found, described = json.loads(words.view(np.uint8)[16:start].tobytes())
        if found != key:
            raise ValueError(f'it belongs to {found}')
        parts = []
        for stored, dtype, shape in described:
            parts.append(Part(start, math.prod(shape), tuple(shape), DTYPES[stored], DTYPES[dtype]))
            size = parts[-1].count * parts[-1].stored.itemsize
            start += size + -size % 8
    except (KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'its header does not fit: {error}') from error
    if start != 8 * (len(words) - 1):
        raise ValueError('its header does not fit its size')
    return parts


def tensors_in(data, parts: list[Part]) -> list[Tensor]:
    """The tensors of a file, as stored, and without a copy.

    Args:
        data (Buffer): The file: anything writable that has a buffer, such as a memory map.
        parts (list[Part]): From `read_parts`.
    """
    return [
        torch.frombuffer(data, dtype=part.stored, count=part.count, offset=part.start).view(part.shape)
        for part in parts
    ]


def checksum(words: np.ndarray) -> np.uint64:
    """A sum modulo 2**64 with the weights 1, 3, 5, ...: any change of one word changes it, and so does a swap of two.

    Args:
        words (np.ndarray): uint64.
    """
    # The weight of word j of row i is (2 j + 1) + 2 ROW i. Plain sums of columns and of rows are faster than the sum of
    # weighted words.
    whole = len(words) // ROW * ROW
    rows, rest = words[:whole].reshape(-1, ROW), words[whole:]
    sums = [
        np.dot(rows.sum(axis=0, dtype=np.uint64), _weights(1, 2, ROW)),
        np.dot(rows.sum(axis=1, dtype=np.uint64), _weights(0, 2 * ROW, len(rows))),
        np.dot(rest, _weights(2 * whole + 1, 2, len(rest))),
    ]
    return np.array(sums, dtype=np.uint64).sum()


@lru_cache(maxsize=32)
def _weights(first: int, step: int, count: int) -> np.ndarray:
    return np.arange(first, first + step * count, step, dtype=np.uint64)


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 8)
