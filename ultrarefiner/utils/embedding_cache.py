"""EmbeddingCache: what a frozen image encoder made of an image, kept on disk."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..structures import ImageEmbedding
from .embedding_file import Part, pack_tensors, read_parts, tensors_in
from .freeze import is_trainable
from .whole_file import whole_file

FORMAT = 1
SUFFIX = '.embedding'
STORAGE = {'float16': torch.float16, 'float32': torch.float32}
RECOUNT_AFTER = 32  # Files written by this process before it looks again what the others have written.
PLAIN = (bool, int, float, str, tuple, type(None))


class NotKept(UserWarning):
    """An embedding was made and could not be kept."""


class Entry(NamedTuple):
    """The tensors of one image's embedding, as stored, and the types that a reader wants them in."""

    tensors: list[Tensor]
    dtypes: list[torch.dtype]


class EmbeddingCache:
    """Computes each image's embedding once, for all epochs, folds and runs that share the folder.

    An entry is found by two hashes: its folder's, of the encoder (weights, architecture, input profile, precision,
    device type), and its own, of the pixels that the refiner is given, after every augmentation. So an entry of another
    encoder, profile or view is never used.

    When a process reads a file for the first time it checks key and checksum, and makes anew what is damaged. Later it
    checks only that the file is the same (inode, size, time of change), maps it, and converts it on the way into the
    batch. ``tools/precompute_embeddings.py`` fills the folder before training does.

    Any number of processes may read and write the folder: a file appears at once and whole. Where it cannot be written
    (read only, disk full, `max_size_gib` reached), training goes on, after one warning, without new entries. Nothing is
    ever removed: an epoch reads every image once, in an order of its own, and under that a cache that drops its oldest
    entries would hit next to nothing.

    Args:
        folder (str): Where the files are; made when the first is written.
        max_size_gib (float): The folder grows no further than this, but for the files that other processes write at
            the same time, at most 32 each. Defaults to 20.
        storage (str): 'float16' (2 MiB an image with SAM, relative error 5e-4 a value), or 'float32', exact. What the
            encoder makes in half precision is stored as it is.

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
        self._state, self._weights = None, ''  # Where the weights lie and how often they changed; their hash.
        self._keys: dict[tuple, str] = {}  # Of these weights, by what else is in a key.
        self._checked: dict[str, tuple[tuple, tuple[Part, ...]]] = {}  # By path: which file it was, what it holds.
        self._parts: dict[tuple[Part, ...], tuple[Part, ...]] = {}  # One for the many files that are alike.

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
        paths = self._paths(refiner, images)
        found = [self._read(path) for path in paths]
        missing = [i for i, entry in enumerate(found) if entry is None]
        self.hits += len(images) - len(missing)
        self.misses += len(missing)
        if missing:
            with torch.no_grad():
                made = refiner.encode_image([images[i] for i in missing])
            for row, i in enumerate(missing):
                found[i] = self._keep(paths[i], tensors_of(made, row))
        device = images[0].device
        tensors = zip(*(entry.tensors for entry in found))
        features, content, *levels = (stack(x, dtype, device) for x, dtype in zip(tensors, found[0].dtypes))
        return ImageEmbedding(features, content, tuple(levels))

    def holds(self, refiner: nn.Module, image: Tensor) -> bool:
        """Whether there is a file of an image (3, H, W), RGB, uint8; it is not read."""
        return self._paths(refiner, [image])[0].is_file()

    def entry_size(self, refiner: nn.Module, image: Tensor) -> int:
        """Bytes of the file of an image (3, H, W), RGB, uint8, which is encoded for that unless the file is there.

        All files of an encoder are alike in size.
        """
        (path,) = self._paths(refiner, [image])
        if self._read(path) is not None:
            return file_size(path)
        with torch.no_grad():
            tensors = tensors_of(refiner.encode_image([image]), 0)
        stored = [self._as_stored(x) for x in tensors]
        return len(pack_tensors(stored, [x.dtype for x in tensors], key_of(path)))

    def used_bytes(self) -> int:
        """Bytes of all files in the folder."""
        return sum(file_size(path) for path in self.folder.glob('*/*'))

    @staticmethod
    def check(refiner: nn.Module) -> None:
        """Check that the embeddings of a refiner can be kept.

        Raises:
            ValueError: If it has no encoder whose result can be kept, or the encoder is trainable or in training mode.
        """
        encoder, name = refiner.cached_encoder, type(refiner).__name__
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
        if encoder.training:
            raise ValueError(
                f'EmbeddingCache: the image encoder of {name} takes no gradient but is in training mode, where dropout '
                'and batch statistics make every embedding another one; freeze it with ultrarefiner.utils.freeze'
            )

    def _paths(self, refiner: nn.Module, images: list[Tensor]) -> list[Path]:
        folder = self.folder / self._encoder_key(refiner, images[0].device.type)
        return [folder / (image_key(image) + SUFFIX) for image in images]

    def _encoder_key(self, refiner: nn.Module, device: str) -> str:
        encoder = refiner.cached_encoder
        tensors = [] if encoder is None else tensors_of_module(encoder)
        if encoder is None or encoder.training or any(tensor.requires_grad for tensor in tensors):
            self.check(refiner)
        state = [x.data_ptr() for x in tensors], [x._version for x in tensors]
        if self._state != state:
            self._state, self._weights, self._keys = state, encoder_hash(encoder), {}
        precision = str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else 'none'
        # The innermost class encodes; what wraps it does not change the embedding.
        use = refiner.input_profile, precision, device, refiner.embedding_owner
        if use not in self._keys:
            profile = None if refiner.input_profile is None else refiner.input_profile.as_dict()
            parts = [FORMAT, self._weights, profile, precision, device, self.storage, refiner.embedding_owner]
            self._keys[use] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self._keys[use]

    def _read(self, path: Path) -> Entry | None:
        name = str(path)
        try:
            with open(name, 'rb', buffering=0) as file:
                status = os.fstat(file.fileno())
                this = (status.st_ino, status.st_size, status.st_mtime_ns)
                known, parts = self._checked.get(name, (None, ()))
                # Read whole, a bad sector is an error to catch; in a map it would end the process.
                data = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                    if known == this
                    else np.fromfile(file, dtype=np.uint64)
                )
            if known != this:
                parts = tuple(read_parts(data, key_of(path)))
                self._checked[name] = (this, self._parts.setdefault(parts, parts))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn_once('read', f'cannot read {path} ({error}); such embeddings are computed')
            return None
        except ValueError as error:
            self._warn_once(path, f'{path} is damaged ({error}); it is computed anew')
            return None
        return Entry(tensors_in(data, parts), [part.dtype for part in parts])

    def _keep(self, path: Path, tensors: list[Tensor]) -> Entry:
        """Write one image's tensors; returns them as a later read will give them."""
        dtypes = [tensor.dtype for tensor in tensors]
        stored = [self._as_stored(tensor) for tensor in tensors]
        if not all(bool(torch.isfinite(x).all()) for x in stored):
            self._warn_once('range', f'an embedding does not fit into {self.storage}; it is not kept. Use float32')
            return Entry(tensors, dtypes)
        # Rounded in the first epoch as well, so that a run does not depend on what the cache held before it.
        entry = Entry(stored, dtypes)
        data = pack_tensors(stored, dtypes, key_of(path))
        if not self._has_room(len(data)):
            self._warn_once('full', f'{self.folder} has reached max_size_gib; raise it, or delete old folders in it')
            return entry
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                file.write_bytes(data)
        except OSError as error:
            self._warn_once('write', f'cannot write to {self.folder} ({error}); embeddings are not kept')
            return entry
        self._used += len(data)
        self._unseen += 1
        return entry

    def _as_stored(self, tensor: Tensor) -> Tensor:
        kind = STORAGE[self.storage]
        smaller = tensor.is_floating_point() and tensor.itemsize > kind.itemsize
        return tensor.to('cpu', kind if smaller else tensor.dtype)

    def _has_room(self, size: int) -> bool:
        if self._used is None or self._unseen >= RECOUNT_AFTER:
            self._used = self.used_bytes()
            self._unseen = 0
        return self._used + size <= self.max_bytes

    def _warn_once(self, kind, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            category = NotKept if kind in ('range', 'full', 'write') else UserWarning
            warnings.warn(f'EmbeddingCache: {message}', category, stacklevel=3)


def key_of(path: Path) -> str:
    """Both hashes of an entry."""
    return f'{path.parent.name}/{path.stem}'


def tensors_of(embedding: ImageEmbedding, row: int) -> list[Tensor]:
    """What is kept of one image of an embedding: features, content and levels."""
    return [x[row] for x in (embedding.features, embedding.content, *embedding.levels)]


def stack(tensors: Sequence[Tensor], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Stack stored tensors into one of a type on a device: one pass on a CPU; a GPU gets them as stored, and converts.

    Args:
        tensors (Sequence[Tensor]): N of one shape, on the CPU.
        dtype (torch.dtype): Wanted.
        device (torch.device): Wanted.
    """
    on_gpu, stored = device.type == 'cuda', {tensor.dtype for tensor in tensors}
    # One that was not kept is still what it was, and may not fit into the type of the others.
    sent = stored.pop() if on_gpu and len(stored) == 1 else dtype
    batch = torch.empty((len(tensors), *tensors[0].shape), dtype=sent, pin_memory=on_gpu)
    for row, tensor in zip(batch, tensors):
        row.copy_(tensor)
    return batch.to(device, non_blocking=True).to(dtype)


def image_key(image: Tensor) -> str:
    """SHA-256 of an image's shape, type and values."""
    pixels = image.detach().cpu().contiguous().numpy()
    digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode())
    digest.update(pixels)
    return digest.hexdigest()


def tensors_of_module(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers; those of a part that is shared come several times. Asked before every batch, so fast."""
    found, waiting = [], [module]
    for part in waiting:
        if part is None:
            continue
        # Neither through nn.Module.__getattr__ nor where there is nothing: it is four times as fast.
        held = vars(part)
        if parameters := held['_parameters']:
            found += parameters.values()
        if buffers := held['_buffers']:
            found += buffers.values()
        if children := held['_modules']:
            waiting += children.values()
    return [tensor for tensor in found if tensor is not None]


def encoder_hash(encoder: nn.Module) -> str:
    """SHA-256 of an encoder: weights and buffers, and each module's class and plain attributes (heads, windows)."""
    digest = hashlib.sha256()
    for name, module in encoder.named_modules():
        plain = {key: value for key, value in vars(module).items() if key[0] != '_' and isinstance(value, PLAIN)}
        plain.pop('training', None)
        plain.pop('is_frozen', None)
        digest.update(repr((name, type(module).__name__, sorted(plain.items()))).encode())
        # The models of `transformers` read some of their settings where they compute.
        if hasattr(getattr(module, 'config', None), 'to_json_string'):
            digest.update(module.config.to_json_string().encode())
    for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]:
        digest.update(repr((name, tuple(tensor.shape), str(tensor.dtype))).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def file_size(path: Path) -> int:
    """Bytes of a file, 0 where it has just gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
