"""Filling an embedding cache with every image that a training and its tests will ask for."""

from __future__ import annotations

import copy
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size
from mmengine.runner import Runner, autocast
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..engine.hooks.best_checkpoint_hook import leaves
from ..engine.hooks.dataset_epoch_hook import parts_with_epoch, set_epoch
from ..interfaces import BaseRefiner
from ..utils.embedding_cache import EmbeddingCache, NotKept
from ..utils.unwrap import unwrap
from .launch import build_runner, prepare_training
from .model import checked_model
from .progress_bar import progress_bar

SUBSETS = ('train', 'val', 'test')
DRAWS = 16  # Of one image, to see whether it is always the same: a flip of half the images is missed once in 32,768.


class Totals(NamedTuple):
    """What was done, by all processes together."""

    made: int
    found: int
    size: int  # Bytes of all that was made and found.


@dataclass(frozen=True)
class Source:
    """The images of one subset.

    Args:
        subset (str): One of `SUBSETS`.
        loader (DataLoader): Gives this process its share of the dataset.
        views (int): Versions of each image.
        context (Callable): The context, of precision, in which the images will be asked for.
    """

    subset: str
    loader: DataLoader
    views: int
    context: Callable[[], AbstractContextManager]

    @property
    def share(self) -> int:
        """The number of images of this process, each view counted."""
        return len(cast(Sized, self.loader.sampler)) * self.views

    @property
    def count(self) -> int:
        """The number of images of all processes, each view counted."""
        return len(cast(Sized, self.loader.dataset)) * self.views


class Precompute:
    """Encodes every image that a config's dataloaders give, into the cache that the config names.

    Model, weights, datasets and precision are made as for training, so that training finds everything. Each process of
    a distributed run takes its share of the images.

    Args:
        cfg (Config): From `load_config`.
        launcher (str): As the tools take it. Defaults to 'none'.
        subsets (Sequence[str]): Whose images. Defaults to all.

    Attributes:
        cache (EmbeddingCache): The model's.

    Raises:
        ValueError: If the config names no cache, the embeddings cannot be kept, the images are others every time, or
            there is not room for all of them.
        OSError: If the folder cannot be written.
    """

    def __init__(self, cfg: Config, launcher: str = 'none', subsets: Sequence[str] = SUBSETS):
        if cfg.model.get('embedding_cache') is None:
            raise ValueError(
                'the config names no embedding cache: give --embedding-cache FOLDER, or set '
                "model.embedding_cache=dict(folder='{data_dir}/embeddings')"
            )
        cfg = copy.deepcopy(cfg)
        cfg.update(resume=False, visualizer=None, log_level='WARNING')
        with tempfile.TemporaryDirectory() as cfg.work_dir:  # For the Runner, which wants one.
            # mmengine hands out again a visualizer of the same name, which is the config's and the second.
            cfg.experiment_name = Path(cfg.work_dir).name
            runner = build_runner(cfg, launcher)
            prepare_training(runner)
            runner.load_or_resume()
        self.model = checked_model(unwrap(runner.model))
        # The config names a cache, and the model takes one with a refiner only.
        self.refiner = cast(BaseRefiner, self.model.refiner)
        self.cache = cast(EmbeddingCache, self.model.embedding_cache)
        check_writable(self.cache.folder)
        self.sources = list(make_sources(runner, subsets))
        self._check_room()

    def run(self) -> Totals:
        """Make what is missing; every embedding is in its file as soon as it is made.

        Raises:
            NotKept: If one could not be kept.
        """
        self.cache.hits = self.cache.misses = 0
        with warnings.catch_warnings(), progress_bar() as progress:
            warnings.simplefilter('error', NotKept)
            for source in self.sources:
                for images in self._batches(source, progress, title(source)):
                    with source.context():
                        self.model.encode_image(images)
        size = sum(self._entry_size(source) * source.share for source in self.sources)
        return Totals(*_sum_of_processes(self.cache.misses, self.cache.hits, size))

    @torch.no_grad()
    def _batches(self, source: Source, progress: Progress, description: str) -> Iterator[list[Tensor]]:
        """The images of this process, as the model gets them."""
        task = progress.add_task(description, total=source.share)
        for epoch in range(source.views):
            set_epoch(source.loader.dataset, epoch)
            for batch in source.loader:
                images = self.model.data_preprocessor(batch)['inputs']
                yield images
                progress.advance(task, len(images))

    def _check_room(self) -> None:
        sizes = [self._entry_size(source) for source in self.sources]
        missing = [source.count for source in self.sources]
        free = shutil.disk_usage(self.cache.folder).free
        room = max(min(self.cache.max_bytes - self.cache.used_bytes(), free), 0)
        if sum(map(int.__mul__, sizes, missing)) > room:
            missing = self._missing()
        needed = sum(map(int.__mul__, sizes, missing))
        if needed > room:
            raise ValueError(
                f'{sum(missing)} embeddings of {max(sizes) / 2**20:.3f} MiB are missing, {needed / 2**30:.2f} GiB, and '
                f'{self.cache.folder} may grow by {room / 2**30:.2f} GiB (max_size_gib is '
                f'{self.cache.max_bytes / 2**30:g}, {free / 2**30:.1f} GiB of the disk are free): raise '
                'model.embedding_cache.max_size_gib, take another folder, fewer views or fewer subsets'
            )

    def _missing(self) -> list[int]:
        """How many embeddings of each source are not there yet; the images are loaded, and nothing is encoded."""
        counts = []
        with progress_bar() as progress:
            for source in self.sources:
                count = 0
                for images in self._batches(source, progress, f'looking for {title(source)}'):
                    with source.context():
                        count += sum(not self.cache.holds(self.refiner, image) for image in images)
                counts.append(count)
        return _sum_of_processes(*counts)

    @torch.no_grad()
    def _entry_size(self, source: Source) -> int:
        set_epoch(source.loader.dataset, 0)
        batch = source.loader.collate_fn([source.loader.dataset[0]])
        with source.context():
            return self.cache.entry_size(self.refiner, self.model.data_preprocessor(batch)['inputs'][0])


def make_sources(runner: Runner, subsets: Sequence[str]) -> Iterator[Source]:
    """The images of a runner's dataloaders; what two of them have in common comes once.

    Args:
        runner (Runner): Prepared for training.
        subsets (Sequence[str]): Of `SUBSETS`; one that the config has not is passed over.

    Raises:
        ValueError: If a pipeline gives other pixels every time.
    """
    taken = []
    for subset in SUBSETS:
        cfg = runner.cfg.get(f'{subset}_dataloader')
        if subset not in subsets or cfg is None:
            continue
        loop = getattr(runner, f'{subset}_loop')
        half = subset != 'train' and loop.fp16
        if subset != 'train' and (cfg.dataset, half) in taken:
            continue
        taken.append((cfg.dataset, half))
        dataset = loop.dataloader.dataset
        views = max([getattr(part, 'views', 1) for part in parts_with_epoch(dataset)], default=1)
        set_epoch(dataset, 0)
        for leaf in leaves(dataset):
            check_fixed(leaf, subset)
        yield Source(subset, share_loader(cfg, dataset), views, _context(runner, subset, half))


def check_fixed(dataset: Dataset, subset: str) -> None:
    """Check that an image is the same whenever it is asked for.

    Raises:
        ValueError: If it is not.
    """
    first, *others = (dataset[0]['inputs'] for _ in range(DRAWS))
    if not all(torch.equal(first, other) for other in others):
        raise ValueError(
            f'the pipeline of {subset}_dataloader makes other pixels every time, which no cache can hold: put its '
            "random transforms into dict(type='FixedViews', transforms=[...]), or leave the subset out with --subsets"
        )


def share_loader(cfg: dict, dataset: Dataset) -> DataLoader:
    """The dataloader of a config for a copy of the dataset, in its order: this process's share, and nothing twice."""
    cfg = {key: value for key, value in cfg.items() if key not in ('batch_sampler', 'drop_last')}
    sampler = dict(type='DefaultSampler', shuffle=False, round_up=False)
    # The memory in which a dataset tells its workers the epoch is not shared by the copy: each view has workers anew.
    return Runner.build_dataloader({**cfg, 'dataset': dataset, 'sampler': sampler, 'persistent_workers': False}, seed=0)


def check_writable(folder: Path) -> None:
    """Make a folder, and a file in it that is gone at once.

    Raises:
        OSError: If that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f'cannot write to the embedding cache {folder} ({error}); choose another folder') from error


def title(source: Source) -> str:
    """What a bar is about."""
    views = f', {source.views} views' if source.views > 1 else ''
    processes = get_world_size()
    return f'{source.subset}{views}' + (f', one of {processes} shares' if processes > 1 else '')


def _context(runner: Runner, subset: str, half: bool) -> Callable[[], AbstractContextManager]:
    if subset == 'train':
        return lambda: runner.optim_wrapper.optim_context(runner.model)
    return lambda: autocast(enabled=half)


def _sum_of_processes(*numbers: int) -> list[int]:
    total = torch.tensor(numbers, dtype=torch.int64)
    all_reduce(total)
    return total.tolist()
