"""The file of one cached embedding: magic, header, tensors, checksum, in words of 64 bits."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MAGIC = b'UREMBED1'
DTYPES = {str(dtype): dtype for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)}


def pack_tensors(tensors: list[Tensor], dtypes: list[torch.dtype], key: str) -> bytes:
    """The bytes of a file.

    Args:
        tensors (list[Tensor]): On the CPU, in the types that are stored.
        dtypes (list[torch.dtype]): The types that a reader gets.
        key (str): What the file is found by; a reader that wants another key refuses it.
    """
    parts = [[str(x.dtype), str(dtype), list(x.shape)] for x, dtype in zip(tensors, dtypes)]
    header = _padded(json.dumps([key, parts]).encode(), b' ')
    payload = b''.join(_padded(x.contiguous().flatten().view(torch.uint8).numpy().tobytes(), b'\0') for x in tensors)
    body = MAGIC + len(header).to_bytes(8, 'little') + header + payload
    return body + _checksum(np.frombuffer(body, dtype=np.uint64)).tobytes()


def unpack_tensors(words: np.ndarray, key: str) -> list[Tensor]:
    """The tensors of a file.

    Args:
        words (np.ndarray): The file, uint64.
        key (str): The key that it has to have.

    Raises:
        ValueError: If it is cut, changed, of another key, or no such file.
    """
    if len(words) < 4 or words[:1].tobytes() != MAGIC:
        raise ValueError('it does not start as one')
    if _checksum(words[:-1]) != words[-1]:
        raise ValueError('the checksum does not fit')
    start = 16 + int(words[1])
    stored = memoryview(words.view(np.uint8))
    try:
        found, parts = json.loads(bytes(stored[16:start]))
        if found != key:
            raise ValueError(f'it belongs to {found}')
        tensors = []
        for kind, dtype, shape in parts:
            size = DTYPES[kind].itemsize * math.prod(shape)
            values = torch.frombuffer(stored[start : start + size], dtype=DTYPES[kind]).view(shape)
            tensors.append(values.to(DTYPES[dtype]))
            start += size + -size % 8
    except (KeyError, TypeError, RuntimeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'its header does not fit: {error}') from error
    return tensors


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 8)


@lru_cache(maxsize=8)
def _weights(length: int) -> np.ndarray:
    return np.arange(1, 2 * length, 2, dtype=np.uint64)


def _checksum(words: np.ndarray) -> np.ndarray:
    """A sum modulo 2**64 with odd weights: any change of one word changes it, and so does a swap of two."""
    return np.dot(words, _weights(len(words)))
