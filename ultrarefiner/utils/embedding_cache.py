"""EmbeddingCache: what a frozen image encoder made of an image, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..structures import ImageEmbedding
from .embedding_file import pack_tensors, unpack_tensors
from .freeze import is_trainable

FORMAT = 1
SUFFIX = '.embedding'
STORAGE = {'float16': torch.float16, 'float32': torch.float32}
RECOUNT_AFTER = 32  # Files written by this process before it looks again what the others have written.
PLAIN = (bool, int, float, str, tuple, type(None))


class EmbeddingCache:
    """Computes each image's embedding once, for all epochs, folds and runs that share the folder.

    An entry is found by two hashes: its folder's, of the encoder (weights, architecture, input profile, precision,
    device type), and its own, of the pixels that the refiner is given, after every augmentation. So an entry of another
    encoder, profile or view is never used. It is read only where its checksum fits; one that is damaged is made anew.

    Any number of processes may read and write the folder: a file appears at once and whole. Where it cannot be written
    (read only, disk full, `max_size_gib` reached), training goes on, after one warning, without new entries. Nothing is
    ever removed: an epoch reads every image once, in an order of its own, and under that a cache that drops its oldest
    entries would hit next to nothing.

    Args:
        folder (str): Where the files are; made when the first is written.
        max_size_gib (float): The folder grows no further than this, but for the files that other processes write at
            the same time, at most 32 each. Defaults to 20.
        storage (str): 'float16' (2 MiB an image with SAM, relative error 5e-4 a value), or 'float32', exact.

    Attributes:
        hits, misses (int): Images found, and encoded, by this process.

    Raises:
        ValueError: If an argument does not fit.
    """

    def __init__(self, folder: str, max_size_gib: float = 20, storage: str = 'float16'):
        if storage not in STORAGE or not max_size_gib > 0:
            raise ValueError(
                f'EmbeddingCache: storage is {storage!r} and max_size_gib {max_size_gib!r}, expected storage of '
                f'{sorted(STORAGE)} and max_size_gib above 0'
            )
        self.folder = Path(folder)
        self.max_bytes = max_size_gib * 2**30
        self.storage = storage
        self.hits = self.misses = 0
        self._used = self._unseen = None  # Bytes in the folder when last counted; files written since.
        self._warned = set()
        self._weights = (None, '')  # What the weights' hash was computed from, and the hash.

    def get_or_encode(self, refiner: nn.Module, images: list[Tensor]) -> ImageEmbedding:
        """The embedding of the images: read where it is known, else made by ``refiner.encode_image`` and kept.

        Args:
            refiner (BaseRefiner): With a frozen image encoder.
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8.

        Returns:
            ImageEmbedding: On the device of the images, without an autograd graph.

        Raises:
            ValueError: If the refiner has no encoder whose result can be kept, or it is trainable.
        """
        folder = self.folder / self._encoder_key(refiner, images[0].device.type)
        paths = [folder / (image_key(image) + SUFFIX) for image in images]
        found = [self._read(path) for path in paths]
        missing = [i for i, tensors in enumerate(found) if tensors is None]
        self.hits += len(images) - len(missing)
        self.misses += len(missing)
        if missing:
            with torch.no_grad():
                made = refiner.encode_image([images[i] for i in missing])
            for row, i in enumerate(missing):
                found[i] = self._keep(paths[i], [made.features[row], made.content[row], *(x[row] for x in made.levels)])
        device = images[0].device
        features, content, *levels = (torch.stack(parts).to(device) for parts in zip(*found))
        return ImageEmbedding(features, content, tuple(levels))

    def _encoder_key(self, refiner: nn.Module, device: str) -> str:
        encoder = refiner.cached_encoder
        name = type(refiner).__name__
        if encoder is None:
            raise ValueError(
                f'EmbeddingCache: the embeddings of {name} cannot be kept, because it has no image encoder, or crops '
                'what the encoder sees (ROIRefiner); set embedding_cache=None'
            )
        if is_trainable(encoder):
            raise ValueError(
                f'EmbeddingCache: the image encoder of {name} is trainable (trained, adapted or thawed), so its '
                "embeddings change; set embedding_cache=None, or encoder='frozen'"
            )
        tensors = [*encoder.parameters(), *encoder.buffers()]
        state = [(tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in tensors]
        if self._weights[0] != state:
            self._weights = (state, encoder_hash(encoder))
        precision = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else 'none'
        profile = None if refiner.input_profile is None else refiner.input_profile.as_dict()
        # The innermost class encodes; what wraps it does not change the embedding.
        parts = [FORMAT, self._weights[1], profile, precision, device, self.storage, refiner.embedding_owner]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _read(self, path: Path) -> list[Tensor] | None:
        try:
            words = np.fromfile(path, dtype=np.uint64)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn_once('read', f'cannot read {path} ({error}); such embeddings are computed')
            return None
        try:
            return unpack_tensors(words, f'{path.parent.name}/{path.stem}')
        except ValueError as error:
            self._warn_once(path, f'{path} is damaged ({error}); it is computed anew')
            return None

    def _keep(self, path: Path, tensors: list[Tensor]) -> list[Tensor]:
        """Write one image's tensors; returns them as a later read will give them."""
        tensors = [tensor.cpu() for tensor in tensors]
        stored = [x.to(STORAGE[self.storage]) if x.is_floating_point() else x for x in tensors]
        if not all(bool(torch.isfinite(x).all()) for x in stored):
            self._warn_once('range', f'an embedding does not fit into {self.storage}; it is not kept. Use float32')
            return tensors
        # Rounded in the first epoch as well, so that a run does not depend on what the cache held before it.
        rounded = [kept.to(x.dtype) for kept, x in zip(stored, tensors)]
        data = pack_tensors(stored, [x.dtype for x in tensors], f'{path.parent.name}/{path.stem}')
        if not self._has_room(len(data)):
            self._warn_once('full', f'{self.folder} has reached max_size_gib; raise it, or delete old folders in it')
            return rounded
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            self._warn_once('write', f'cannot write to {self.folder} ({error}); training goes on without')
            return rounded
        self._used += len(data)
        self._unseen += 1
        return rounded

    def _has_room(self, size: int) -> bool:
        if self._used is None or self._unseen >= RECOUNT_AFTER:
            self._used = sum(file_size(path) for path in self.folder.glob('*/*'))
            self._unseen = 0
        return self._used + size <= self.max_bytes

    def _warn_once(self, kind, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f'EmbeddingCache: {message}', stacklevel=3)


def image_key(image: Tensor) -> str:
    """SHA-256 of an image's shape, type and values."""
    pixels = image.detach().cpu().contiguous().numpy()
    return hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode() + pixels.tobytes()).hexdigest()


def encoder_hash(encoder: nn.Module) -> str:
    """SHA-256 of an encoder: weights and buffers, and each module's class and plain attributes (heads, windows)."""
    digest = hashlib.sha256()
    for name, module in encoder.named_modules():
        plain = {key: value for key, value in vars(module).items() if key[0] != '_' and isinstance(value, PLAIN)}
        plain.pop('training', None)
        plain.pop('is_frozen', None)
        digest.update(repr((name, type(module).__name__, sorted(plain.items()))).encode())
    for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]:
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that no other process ever sees a part of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix='.tmp')
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def file_size(path: Path) -> int:
    """Bytes of a file, 0 where it has just gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
