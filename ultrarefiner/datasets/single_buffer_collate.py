"""single_buffer_collate: a batch that travels from the worker as one tensor."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from torch import Tensor

ALIGNMENT = 16  # Bytes; every dtype may start there.


@FUNCTIONS.register_module()
def single_buffer_collate(samples: Sequence[dict]) -> SingleBufferBatch:
    """Mmengine's `pseudo_collate`, whose batch crosses to the training process in one piece.

    torch hands every tensor over by a file of its own, and the training process asks the worker for each over a socket:
    a millisecond a sample that no worker can take off it. The batch is the same dictionary either way, and images keep
    their own sizes.

    Args:
        samples (Sequence[dict]): What the dataset gave.
    """
    return SingleBufferBatch(pseudo_collate(samples))


class SingleBufferBatch(dict):
    """A dictionary whose CPU tensors are pickled as parts of one; after that they share its memory."""

    def __reduce__(self):
        stream = io.BytesIO()
        pickler = _Pickler(stream)
        pickler.dump(dict(self))
        return _restore, (stream.getvalue(), *pickler.joined())

    def __copy__(self) -> SingleBufferBatch:
        # Pinning copies; it would else pickle.
        return SingleBufferBatch(self)


class _Pickler(ForkingPickler):
    """Leaves tensors out, and numbers them."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream)
        self._tensors: list[Tensor] = []

    def persistent_id(self, value) -> int | None:
        plain = type(value) is Tensor and value.layout == torch.strided and not value.requires_grad
        if not plain or value.device.type != 'cpu':
            return None
        self._tensors.append(value.contiguous())
        return len(self._tensors) - 1

    def joined(self) -> tuple[list[tuple], Tensor]:
        """Where each tensor lies and as what, and the bytes of them all."""
        layout, end = [], 0
        for tensor in self._tensors:
            layout.append((end, tensor.nbytes, tensor.dtype, tuple(tensor.shape)))
            end += tensor.nbytes + -tensor.nbytes % ALIGNMENT
        buffer = torch.empty(end, dtype=torch.uint8)
        for (start, count, *_), tensor in zip(layout, self._tensors):
            buffer[start : start + count] = tensor.flatten().view(torch.uint8)
        return layout, buffer


class _Unpickler(pickle.Unpickler):
    """Puts the tensors back."""

    def __init__(self, stream: io.BytesIO, layout: list[tuple], buffer: Tensor):
        super().__init__(stream)
        self._layout = layout
        self._buffer = buffer

    def persistent_load(self, number: int) -> Tensor:
        start, count, dtype, shape = self._layout[number]
        return self._buffer[start : start + count].view(dtype).view(shape)


def _restore(content: bytes, layout: list[tuple], buffer: Tensor) -> SingleBufferBatch:
    return SingleBufferBatch(_Unpickler(io.BytesIO(content), layout, buffer).load())
