"""The cache section: bytes and read time of an embedding, how they grow with the number of images, and its making."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.structures import ImageEmbedding
from ultrarefiner.utils.embedding_cache import EmbeddingCache, image_key
from ultrarefiner.utils.timed import timed

from .equality import relative_error
from .harness import Gate, Goal, Measurement, Options, Row, Section, Variant, alternate
from .memory import MIB
from .toolkit_step import architecture_of

COUNTS = dict(full=(250, 2500), small=(10, 100))
IMAGE = (500, 600)  # (height, width) in pixels, as breast ultrasound has it.
HALF_PRECISION = 5e-4
SIZE, READ_MS, GROWTH, MAKING = 2.02, 0.2, 1.25, 1.05


def run(options: Options) -> Section:
    """Run the section; every read is warm, one image at a time, in random order, to float32 on the device."""
    few, many = COUNTS[options.size]
    refiner = KnownFeatures(options)
    section = Section(f'embedding cache, {few} and {many:,} images, features {tuple(refiner.features.shape[1:])}')
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images = [numbered_image(number).to(options.device) for number in range(many)]
        small, large = EmbeddingCache(folder / 'few'), EmbeddingCache(folder / 'many')
        fill(small, refiner, images[:few])
        _, seconds = timed(lambda: fill(large, refiner, images))
        for cache, known in ((small, images[:few]), (large, images)):
            read_all(lambda image, cache=cache: cache.get_or_encode(refiner, [image]), known)  # checks each file once
        peers = write_peers(folder, few, refiner.features[0])
        order = random.Random(0)

        def ours(cache: EmbeddingCache, known: list[Tensor]) -> Reads:
            return read_all(lambda image: cache.get_or_encode(refiner, [image]).features, order.sample(known, few))

        def theirs(kind: str) -> Reads:
            return read_all(lambda path: READERS[kind](path).float().to(options.device), order.sample(peers[kind], few))

        names = f'ours, {few} images', f'ours, {many:,} images'
        variants = [Variant(kind, lambda kind=kind: theirs(kind)) for kind in READERS]
        variants += [
            Variant(names[0], lambda: ours(small, images[:few])),
            Variant(names[1], lambda: ours(large, images)),
        ]
        measured = alternate(variants, options.rounds)
        stored = small.used_bytes() / few / MIB
    base = measured['torch.load']
    section.rows += [Row.of(m, base, read_ms=m.result.median_ms) for m in measured.values()]
    error = relative_error(measured[names[1]].result.last[0], refiner.features[0])
    section.gates.append(Gate('features as they were made', error, HALF_PRECISION))
    writing, encoding = seconds / many, encoding_seconds(options)
    section.rows.append(Row('ours, one image encoded', encoding.seconds, encoding.peak_mib))
    section.rows.append(Row('ours, one image written', [writing]))
    pixels = torch.zeros(3, *IMAGE, dtype=torch.uint8)
    hashed = Row(
        f'ours, one image of {IMAGE[0]} x {IMAGE[1]} hashed', [timed(lambda: image_key(pixels))[1] for _ in range(5)]
    )
    section.rows.append(hashed)
    first, second = (measured[name].result.median_ms for name in names)
    section.goals += [
        Goal('MiB an image', stored, SIZE, '<='),
        Goal(f'ms of a warm read, {few} images', first, READ_MS, '<='),
        Goal(f'ms of a warm read, {many:,} images', second, READ_MS, '<='),
        Goal(f'read time at {many:,} images over that at {few}', second / first, GROWTH, '<='),
        Goal('making the cache over encoding alone', 1 + writing / median(encoding.seconds), MAKING, '<='),
    ]
    section.notes.append(
        'cache: a read finds the file, checks that it is the known one, and gives float32; the first one of a process, '
        'which is not timed, checks its content. The images are of 8 pixels: the hash of a real one comes on top'
    )
    return section


class KnownFeatures(SAMRefiner):
    """A frozen SAM that gives the same random features for every image, at once.

    Args:
        options (Options): Of the section.
    """

    def __init__(self, options: Options):
        architecture = architecture_of(options.size)
        super().__init__(vars(architecture))
        self.to(options.device).eval()
        side = architecture.image_size // architecture.patch_size
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(1, architecture.prompt_dim, side, side, generator=generator)
        self.features = features.to(options.device)

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """Give the features."""
        content = torch.tensor([self.input_profile.size] * len(images), device=self.features.device)
        return ImageEmbedding(self.features.expand(len(images), -1, -1, -1), content)


def numbered_image(number: int) -> Tensor:
    """An image (3, 8, 8) of its own, uint8."""
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[0, 0, 0], image[0, 0, 1] = number % 256, number // 256
    return image


def fill(cache: EmbeddingCache, refiner: SAMRefiner, images: list[Tensor]) -> None:
    """Write an entry for each image."""
    for image in images:
        cache.get_or_encode(refiner, [image])


def write_peers(folder: Path, count: int, features: Tensor) -> dict[str, list[Path]]:
    """Write the features (C, g, g) in half precision as other tools do; the paths by the name of the reader."""
    half = features.half().cpu()
    paths = {kind: [folder / f'{index}.{kind}' for index in range(count)] for kind in READERS}
    for path in paths['np.load']:
        with path.open('wb') as file:
            np.save(file, half.numpy())
    for path in paths['torch.load']:
        torch.save(half, path)
    return paths


READERS = {'torch.load': torch.load, 'np.load': lambda path: torch.from_numpy(np.load(path))}


class Reads(NamedTuple):
    """The median time of a read in milliseconds, and what the last one gave."""

    median_ms: float
    last: Tensor


def read_all(read: Callable[[object], Tensor], what: Sequence) -> Reads:
    """Read one after the other."""
    times = []
    for one in what:
        last, seconds = timed(lambda one=one: read(one))
        times.append(seconds)
    return Reads(1000 * median(times), last)


def encoding_seconds(options: Options) -> Measurement:
    """The encoding of one image of the size of SAM's input."""
    refiner = SAMRefiner(vars(architecture_of(options.size))).to(options.device).eval()
    image = torch.zeros(3, *refiner.input_profile.size, dtype=torch.uint8, device=options.device)

    def encode() -> None:
        with options.autocast(), torch.no_grad():
            refiner.encode_image([image])

    matmul = options.fast_matmul if options.precision == 'fp32' else 'highest'
    return alternate([Variant('encoding', encode, precision=options.precision, matmul=matmul)], options.rounds)[
        'encoding'
    ]
