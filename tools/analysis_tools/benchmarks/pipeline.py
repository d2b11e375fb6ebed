"""The pipeline section: samples a second and bytes through the loader's workers, how both grow, and memory by epoch."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ultrarefiner.data_preparation.phantom import make_phantom
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.registry import DATASETS
from ultrarefiner.utils.timed import timed

from .equality import relative_error
from .harness import Gate, Goal, Measurement, Options, Row, Section, Variant, alternate
from .memory import MIB
from .toolkit_step import architecture_of

CONFIG = Path(__file__).resolve().parents[3] / 'configs' / '_base_' / 'phases' / 'phase2_refine.py'
COUNTS = dict(full=(100, 1000), small=(8, 24))
PHANTOMS = dict(full=16, small=2)  # Different images; the others are links to them.
WORKERS, BATCH_SIZE = 2, 4
COARSE_SIDE = 224
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FASTER, BYTES, SAME = 9, 1 / 9, 1.1


def run(options: Options) -> Section:
    """Run the section, on phantoms: the authors' samples, and those of the phase-2 config with its augmentation."""
    few, many = COUNTS[options.size]
    side = architecture_of(options.size).image_size
    cv2.setNumThreads(0)  # as mmengine's Runner does: the workers are the threads
    init_default_scope('ultrarefiner')
    section = Section(f'loading of {few} and {many:,} images, {WORKERS} workers, batch {BATCH_SIZE}')
    with tempfile.TemporaryDirectory() as folder:
        roots = {count: Path(folder) / str(count) for count in (few, many)}
        for count, root in roots.items():
            write_dataset(root, count, PHANTOMS[options.size])
        section.gates.append(same_masks(roots[few], side))
        building = {count: building_seconds(root, options.rounds) for count, root in roots.items()}
        measured, memory = measure_epochs(roots, side, options.rounds)
    base, first, second = measured.values()
    for measurement, count in ((base, few), (first, few), (second, many)):
        values = dict(samples_per_s=count / median(measurement.seconds), mib_a_sample=measurement.result / count / MIB)
        section.rows.append(Row.of(measurement, base, **values))
    section.rows += [Row(f'ours, dataset of {count:,} images built', seconds) for count, seconds in building.items()]
    section.rows.append(Row('ours, all processes', values=dict(first_epoch_mib=memory[0], last_epoch_mib=memory[-1])))
    faster = median(theirs / own for theirs, own in zip(base.seconds, first.seconds, strict=True))
    loading = median(second.seconds) / median(first.seconds) * few / many
    growth = f'time an image, {many:,} over {few} images'
    section.goals += [
        Goal("times the authors' samples a second", faster, FASTER),
        Goal("share of the authors' bytes a sample", first.result / base.result, BYTES, '<='),
        Goal(f'loading {growth}', loading, SAME, '<='),
        Goal(f'building {growth}', median(building[many]) / median(building[few]) * few / many, SAME, '<='),
        Goal('memory after the last epoch over that after the first', memory[-1] / memory[0], SAME, '<='),
    ]
    section.notes.append(
        f'pipeline: coarse masks of {COARSE_SIDE} pixels; ours are flipped and rotated, theirs are not; embeddings do '
        'not pass through the workers, the cache section has their reading; memory of all processes, pages that they '
        'share counted once'
    )
    return section


def building_seconds(root: Path, rounds: int) -> list[float]:
    """How long it takes to build the dataset of the phase-2 config."""
    config = dataset_config(root)
    return [timed(lambda: DATASETS.build(config))[1] for _ in range(rounds)]


def measure_epochs(roots: dict[int, Path], side: int, rounds: int) -> tuple[dict[str, Measurement], list[float]]:
    """Epochs of the authors' samples and of ours.

    Args:
        roots (dict[int, Path]): The datasets by their number of images, the smallest first.
        side (int): Of SAM's input, in pixels.
        rounds (int): Epochs.

    Returns:
        tuple[dict[str, Measurement], list[float]]: The times, each with the bytes of an epoch; and the memory after
        each epoch of ours on the largest dataset, in MiB.
    """
    authors = authors_loader(next(iter(roots.values())), side)
    loaders = [our_loader(root) for root in roots.values()]
    variants = [Variant("authors' samples", lambda: epoch(authors))]
    for count, loader in zip(roots, loaders):
        variants.append(Variant(f'ours, {count:,} images', lambda loader=loader: epoch(loader)))
    measured = alternate(variants, rounds)
    return measured, [epoch_memory(loaders[-1]) for _ in range(rounds + 1)]


def write_dataset(root: Path, count: int, different: int) -> None:
    """Write a converted dataset of training images, with coarse predictions beside it in ``coarse``.

    Args:
        root (Path): Made.
        count (int): Images in all.
        different (int): Phantoms; the files of the others are links to theirs.
    """
    folders = {kind: root / 'train' / kind for kind in ('images', 'masks')} | dict(coarse=root / 'coarse')
    for folder in folders.values():
        folder.mkdir(parents=True)
    names = [f'{number:05d}' for number in range(count)]
    for number, name in enumerate(names):
        original = names[number % different]
        if name == original:
            phantom = make_phantom('benign', np.random.default_rng(number))
            mask = np.logical_or.reduce(phantom.lesions)
            Image.fromarray(phantom.image).save(folders['images'] / f'{name}.png')
            Image.fromarray(mask.astype(np.uint8) * 255).save(folders['masks'] / f'{name}.png')
            soft = cv2.resize(mask.astype(np.float32), (COARSE_SIDE,) * 2, interpolation=cv2.INTER_AREA)
            np.save(folders['coarse'] / f'{name}.npy', soft)
            continue
        for kind, suffix in dict(images='png', masks='png', coarse='npy').items():
            os.link(folders[kind] / f'{original}.{suffix}', folders[kind] / f'{name}.{suffix}')
    folds = [names[0::2], names[1::2]]
    Splits('phantoms', 'grouped', 0, names, [], folds, {name: name for name in names}).save(root / 'splits.json')


def dataset_config(root: Path, pipeline: str = 'train_pipeline') -> dict:
    """The dataset of the phase-2 config with its variables filled in, on all training images."""
    config = Config.fromfile(CONFIG)
    return config.train_dataloader.dataset | dict(
        data_root=str(root),
        coarse_dir=str(root / 'coarse'),
        subset='all_train',
        fold=None,
        require_proof=False,
        pipeline=config[pipeline],
    )


def our_loader(root: Path) -> DataLoader:
    """The loader of the phase-2 config, as the Runner builds it."""
    config = Config.fromfile(CONFIG).train_dataloader
    return Runner.build_dataloader(
        config | dict(dataset=dataset_config(root), num_workers=WORKERS, batch_size=BATCH_SIZE), seed=0
    )


class AuthorsSamples(Dataset):
    """The authors' samples: the image at 224 pixels, enlarged; soft mask and truth; all float32 of SAM's input size.

    Args:
        root (Path): Of a converted dataset.
        side (int): Of SAM's input, in pixels.
    """

    def __init__(self, root: Path, side: int):
        self.root, self.size = root, (side, side)
        self.names = sorted(path.stem for path in (root / 'train' / 'images').iterdir())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name = self.names[index]
        image, mask = (
            cv2.imread(str(self.root / 'train' / kind / f'{name}.png'), cv2.IMREAD_GRAYSCALE)
            for kind in ('images', 'masks')
        )
        image = cv2.resize(cv2.resize(image, (COARSE_SIDE,) * 2), self.size).astype(np.float32)
        image = np.stack([(image - mean) / std for mean, std in zip(MEAN, STD)])
        coarse = cv2.resize(np.load(self.root / 'coarse' / f'{name}.npy'), self.size)
        truth = cv2.resize(mask, self.size, interpolation=cv2.INTER_NEAREST) > 127
        return dict(
            image=torch.from_numpy(image),
            coarse=torch.from_numpy(coarse)[None],
            truth=torch.from_numpy(truth.astype(np.float32))[None],
        )


def authors_loader(root: Path, side: int) -> DataLoader:
    """PyTorch's own, with workers that stay."""
    return DataLoader(
        AuthorsSamples(root, side), BATCH_SIZE, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )


def same_masks(root: Path, side: int) -> Gate:
    """Whether both sides load the same truth, ours without augmentation, at the authors' size."""
    theirs, ours = AuthorsSamples(root, side)[0]['truth'], DATASETS.build(dataset_config(root, 'test_pipeline'))[0]
    mask = ours['data_samples'].gt_sem_seg.data[0].numpy().astype(np.float32)
    resized = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
    return Gate('truth of ours and of the authors', relative_error(torch.from_numpy(resized)[None], theirs), 0.0)


def epoch(loader: DataLoader) -> int:
    """Load every batch; returns the bytes of all tensors."""
    return sum(tensor.nbytes for batch in loader for tensor in tensors_of(batch))


def tensors_of(batch: object) -> Iterator[Tensor]:
    """Every tensor of a collated batch, and of the data samples in it."""
    if isinstance(batch, Tensor):
        yield batch
    elif hasattr(batch, 'values'):
        for value in batch.values():
            yield from tensors_of(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from tensors_of(value)


def epoch_memory(loader: DataLoader) -> float:
    """Load an epoch; returns the memory in MiB of this process and of its children after it."""
    epoch(loader)
    processes = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    return sum(proportional_mib(process) for process in processes)


def proportional_mib(process: int) -> float:
    """The resident memory of a process in MiB, with its part of the pages that it shares."""
    lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024
