"""The phase-2 section: a training step on cached embeddings, against the authors' step, which encodes every time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from statistics import median

from torch import Tensor, nn

from ultrarefiner.utils.embedding_cache import EmbeddingCache

from .authors_step import AuthorsRefiner, AuthorsStep, public_sam
from .equality import relative_error
from .harness import Gate, Goal, Measurement, Options, Section, Variant, alternate, matmul_path, memory_share, ratio
from .toolkit_step import TrainStep, architecture_of, build_phase2, make_workload

BATCH = dict(cpu=2, cuda=16)
EPOCHS = 100
SHIPPED_SIDE = dict(full=224, small=32)  # Of the coarse masks that the configs make their prompts of, in pixels.
STORAGE = ('float32', 'float16')
LOSS_LIMITS = dict(fp32=1e-6, bf16=1e-2)
GRADIENT_LIMIT = 1e-5
# Goals on a CPU, and on a GPU under autocast.
FASTER = dict(fp32=dict(default=100, tuned=45), bf16=dict(default=50, tuned=22))
FASTER_WITH_CACHE, MEMORY = 35, 1 / 12
GPU_FASTER = (8, 20)


def run(options: Options) -> Section:
    """Run the section."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Phase2Bench(options, Path(folder))
        section = Section(bench.title)
        ways = [('bf16', 'highest')]
        if options.precision == 'fp32':
            ways = list(dict.fromkeys([('fp32', 'highest'), ('fp32', options.fast_matmul)]))
        section.gates, error = bench.gates(ways)
        side = SHIPPED_SIDE[options.size]
        theirs = [Variant(f"authors' step, {' '.join(way)}", bench.authors_step, None, *way) for way in ways]
        ours = [Variant(f'ours, {" ".join(way)}', bench.ours, None, *way) for way in ways]
        shipped = Variant(f'ours, prompts of {side} pixels', lambda: bench.ours(side), None, *ways[-1])
        filling = Variant('ours, making the cache', bench.fill, None, *ways[-1])
        measured = alternate([*theirs, *ours, shipped, filling], options.rounds)
    base = measured[theirs[0].name]
    section.add_rows(measured, base.variant.name)
    section.goals = goals(options, base, measured[ours[-1].name], measured[filling.name])
    what = f'phase2, {options.precision}: relative error of the gradients on a float16 cache'
    if options.precision == 'fp32':
        section.goals.append(Goal(what, error, GRADIENT_LIMIT, '<='))
        section.notes.append(f'phase2: {EPOCHS} epochs are computed from the medians of the steps and of the encoding')
    else:
        section.notes.append(f'{what}: {error:.1e}; both sides round')
    return section


class Phase2Bench:
    """Both steps on one batch, from the same weights.

    Args:
        options (Options): Of the section.
        folder (Path): For the caches.
    """

    def __init__(self, options: Options, folder: Path):
        self.options = options
        self.architecture = architecture_of(options.size)
        sam = public_sam(self.architecture).to(options.device)
        workload = make_workload(self.architecture, BATCH[options.device], options.device)
        batch = workload.normalised, workload.coarse, workload.truth
        self.caches = {storage: EmbeddingCache(folder / storage, storage=storage) for storage in STORAGE}
        self.filled = EmbeddingCache(folder / 'filled')
        self.model = build_phase2(sam, self.architecture)
        self.authors_step = AuthorsStep(AuthorsRefiner(sam).train(), *batch, options.precision)
        self.our_step = TrainStep(self.model, workload.collated(), options.precision)

    @property
    def title(self) -> str:
        """What is run on what."""
        side, count = self.architecture.image_size, BATCH[self.options.device]
        return f'training step of phase 2, {side} pixels, batch {count}, {self.architecture.depth} blocks'

    def ours(self, side: int | None = None) -> float:
        """Our step with prompts made of masks of so many pixels a side, as the authors' by default; returns the loss.

        Args:
            side (int, optional): In pixels.
        """
        self._prepare('float16', side)
        return self.our_step()

    def fill(self) -> None:
        """Encode the batch into an empty cache."""
        if self.filled.folder.exists():
            rmtree(self.filled.folder)
        images = self.model.data_preprocessor(self.our_step.batch)['inputs']
        with self.options.autocast():
            self.filled.get_or_encode(self.model.refiner, images)

    def gates(self, ways: Sequence[tuple[str, str]]) -> tuple[list[Gate], float]:
        """Loss and gradients of both sides from the same weights, ours on a warm cache of each kind.

        Args:
            ways (Sequence[tuple[str, str]]): Precision and matmul path of ours, the fastest last.

        Returns:
            tuple[list[Gate], float]: The gates, and the error of the gradients on a cache of half precision.
        """
        reference = float(self.authors_step.backward().detach())
        theirs = gradients(self.authors_step.refiner.sam)
        self.authors_step.optimizer.step()  # makes its state, which is then part of what is there before a run
        gates = []
        for storage in STORAGE:
            for way in ways:
                loss, ours = self._loss_and_gradients(storage, way[1])
                name = f'ours, {" ".join(way)}, {storage} cache'
                gates.append(Gate(f'{name}: loss', abs(loss - reference) / abs(reference), LOSS_LIMITS[way[0]]))
                error = relative_error(ours, {name: theirs[name] for name in ours})
                if storage == 'float32' and way[0] == 'fp32':
                    gates.append(Gate(f'{name}: gradients', error, GRADIENT_LIMIT))
        self.ours()
        return gates, error

    def _loss_and_gradients(self, storage: str, matmul: str) -> tuple[float, dict[str, Tensor]]:
        self._prepare(storage)
        with matmul_path(matmul), self.options.autocast():
            data = self.model.data_preprocessor(self.our_step.batch, True)
            self.model.encode_image(data['inputs'])  # what is compared is read from the cache
            loss = sum(self.model.loss(**data).values())
        loss.backward()
        found = gradients(self.model.refiner)
        self.model.zero_grad()
        return float(loss.detach()), found

    def _prepare(self, storage: str, side: int | None = None) -> None:
        self.model.embedding_cache = self.caches[storage]
        self.model.coarse_input = replace(self.model.coarse_input, size=(side or self.architecture.image_size,) * 2)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """The gradient of every weight that has one."""
    return {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}


def goals(options: Options, base: Measurement, ours: Measurement, filling: Measurement) -> list[Goal]:
    """What is aimed at.

    Args:
        options (Options): Of the section.
        base (Measurement): The authors' step, as it comes.
        ours (Measurement): Ours with the fastest settings.
        filling (Measurement): The making of the cache for one batch.
    """
    named = f"ours, {options.precision}: times as fast as the authors' step, {options.precision}"
    faster = ratio(base, ours).median
    theirs, cached, once = (median(part.seconds) for part in (base, ours, filling))
    with_cache = Goal(f'{named}, {EPOCHS} epochs', EPOCHS * theirs / (once + EPOCHS * cached), FASTER_WITH_CACHE)
    if options.device != 'cpu':
        return [Goal(named, faster, wanted) for wanted in GPU_FASTER] if options.precision == 'bf16' else []
    found = [Goal(named, faster, FASTER[options.precision][options.allocator])]
    if options.precision == 'fp32':
        found.append(
            Goal("ours, fp32: share of the memory of the authors' step", memory_share(base, ours), MEMORY, '<=')
        )
        found.append(with_cache)
    return found
