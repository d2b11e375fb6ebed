"""Time several ways of doing the same thing, in turns, and hold what came out against equality gates and goals."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import torch

from ultrarefiner.utils.timed import timed

from .memory import PeakMemory, return_freed_memory

LEAST_MIB = 1 / 256  # A page: a run that reuses what is free may show no growth at all.
AS_IT_COMES = ('fp32', 'highest')  # Precision and float32 matmul path of a public implementation.
NEVER_SLOWER = 0.95  # Worst ratio that still counts as 'never slower': runs of one and the same program differ as much.


@dataclass(frozen=True)
class Options:
    """What a section is run with.

    Args:
        device (str): 'cpu' or 'cuda'.
        precision (str): 'fp32' or 'bf16', the latter under autocast.
        allocator (str): 'default' or 'tuned'; it is set in the environment of the process, this only says which.
        rounds (int): Timed runs of each variant.
        size (str): 'full' is ViT-B at 1024 pixels, 'small' two blocks at 64 pixels.
        threads (int): Of PyTorch on the CPU.
        fast_matmul (str): The fastest float32 matmul path that still computes in float32 here, see
            `machine.MatmulPeaks`: 'medium' on most CPUs, 'highest' where 'medium' is another precision.
        model (str, optional): Config, checkpoint or package of the section 'stages'. None takes one of the project's.
    """

    device: str = 'cpu'
    precision: str = 'fp32'
    allocator: str = 'default'
    rounds: int = 5
    size: str = 'full'
    threads: int = 1
    fast_matmul: str = 'medium'
    model: str | None = None

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Precision and float32 matmul path of what is measured, the fastest last."""
        return [('bf16', 'highest')] if self.precision == 'bf16' else _distinct(AS_IT_COMES, ('fp32', self.fast_matmul))

    @property
    def baseline_settings(self) -> list[tuple[str, str]]:
        """The settings for a baseline: `AS_IT_COMES` first, and those that are measured."""
        return _distinct(AS_IT_COMES, *self.settings)

    def autocast(self) -> torch.autocast:
        """A context in which a forward pass has the precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == 'bf16')


def _distinct(*settings: tuple[str, str]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(settings))


@dataclass(frozen=True)
class Variant:
    """One thing to time.

    Args:
        name (str): Of its row.
        run (Callable[[], object]): Does one step and returns what the equality gate compares: tensors, or a mapping or
            sequence of them, without an autograd graph.
        flops (float, optional): Of one run.
        precision (str): 'fp32' or 'bf16': the matmul peak that its rate is held against.
        matmul (str): The float32 matmul path that is set before each run (`torch.set_float32_matmul_precision`).
            Defaults to 'highest', as PyTorch comes.
    """

    name: str
    run: Callable[[], object]
    flops: float | None = None
    precision: str = 'fp32'
    matmul: str = 'highest'


def variants_of(
    maker: str, step: Callable[[str], object], settings: Sequence[tuple[str, str]], flops: float | None = None
) -> list[Variant]:
    """One thing in several settings.

    Args:
        maker (str): Whose it is; the rows are named after it and the setting: 'ours, fp32 medium', 'ours, bf16'.
        step (Callable[[str], object]): As `Variant.run`, of a precision.
        settings (Sequence[tuple[str, str]]): Precision and float32 matmul path, as `Options.settings`.
        flops (float, optional): Of one step.
    """
    return [
        Variant(f'{maker}, {setting_name(*setting)}', partial(step, setting[0]), flops, *setting)
        for setting in settings
    ]


def setting_name(precision: str, matmul: str) -> str:
    """A setting as rows are named after it: 'fp32', 'fp32 medium' or 'bf16'."""
    return precision if matmul == AS_IT_COMES[1] else f'{precision} {matmul}'


@dataclass(frozen=True)
class Measurement:
    """What came out of a variant.

    Args:
        variant (Variant): The one that was run.
        seconds (list[float]): Of the timed rounds, in their order.
        peak_mib (float): Most memory in use over what was in use before the run, in MiB.
        result (object): What the last run returned.
    """

    variant: Variant
    seconds: list[float]
    peak_mib: float
    result: object

    @property
    def gflops_per_s(self) -> float | None:
        """The rate of the median round."""
        return self.variant.flops and self.variant.flops / median(self.seconds) / 1e9


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, round by round: the median and the worst of the paired ratios."""

    median: float
    worst: float


def alternate(variants: Sequence[Variant], rounds: int, warmup: int = 1) -> dict[str, Measurement]:
    """Run the variants in turns, A B A B and so on, so that a machine that gets slower is slower for all.

    The warm-up runs, which are not timed, give the peak memory; before each of them the freed memory goes back to the
    system, while a timed run finds the heap as the one before it left it, as in training. A GPU counts as soon as the
    process has used one.

    Args:
        variants (Sequence[Variant]): With names of their own.
        rounds (int): Timed runs of each, at least 1.
        warmup (int): Runs before them, at least 1. Defaults to 1.

    Returns:
        dict[str, Measurement]: By the variant's name, in the order given.

    Raises:
        ValueError: If a name comes twice, or there is nothing to run.
    """
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise ValueError(f'alternate: the names are {names}, expected each once')
    if rounds < 1 or warmup < 1:
        raise ValueError(f'alternate: rounds is {rounds} and warmup {warmup}, expected at least 1 each')
    results: dict[str, object] = {}
    peaks = dict.fromkeys(names, 0.0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with few_objects_to_collect():
        for number in range(warmup + rounds):
            for variant in variants:
                results.pop(variant.name, None)
                gc.collect()
                with matmul_path(variant.matmul):
                    if number < warmup:
                        return_freed_memory()
                        with PeakMemory() as memory:
                            results[variant.name] = variant.run()
                        peaks[variant.name] = max(peaks[variant.name], memory.peak_mib)
                    else:
                        results[variant.name], passed = timed(variant.run)
                        seconds[variant.name].append(passed)
    return {v.name: Measurement(v, seconds[v.name], peaks[v.name], results[v.name]) for v in variants}


def ratio(base: Measurement, ours: Measurement) -> Ratio:
    """How many times as fast ours is as the base of the same round."""
    pairs = [theirs / own for theirs, own in zip(base.seconds, ours.seconds, strict=True)]
    return Ratio(median(pairs), min(pairs))


def memory_share(base: Measurement, ours: Measurement) -> float:
    """The peak memory of ours as a share of the base's."""
    return ours.peak_mib / max(base.peak_mib, LEAST_MIB)


@contextmanager
def few_objects_to_collect() -> Iterator[None]:
    """Leave what exists now out of garbage collections, which take half a second with all that is imported."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def matmul_path(precision: str) -> Iterator[None]:
    """Set the float32 matmul path of the process for a while."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Gate:
    """An equality that has to hold.

    Args:
        name (str): What is compared.
        error (float): As measured.
        limit (float): The largest one allowed.
    """

    name: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        """bool: Whether the error is a number within the limit."""
        return self.error <= self.limit


@dataclass(frozen=True)
class Goal:
    """A number that is aimed at; missing it is no failure.

    Args:
        name (str): What is measured, with its unit.
        measured (float): As it came out.
        wanted (float): What is aimed at.
        direction (str): '>=' or '<='.

    Raises:
        ValueError: If the direction is another one.
    """

    name: str
    measured: float
    wanted: float
    direction: str = '>='

    def __post_init__(self):
        if self.direction not in ('>=', '<='):
            raise ValueError(f'Goal {self.name!r}: direction is {self.direction!r}, expected >= or <=')

    @property
    def passed(self) -> bool:
        """bool: Whether it is reached; not where nothing could be measured."""
        if math.isnan(self.measured):
            return False
        return self.measured >= self.wanted if self.direction == '>=' else self.measured <= self.wanted


@dataclass(frozen=True)
class Row:
    """A line of a section's table; what is None does not apply.

    Args:
        name (str): Of the variant.
        seconds (list[float]): Of the rounds.
        peak_mib (float, optional): Over what was in use before the run.
        ratio (Ratio, optional): To the section's baseline.
        gflops_per_s (float, optional): The rate of the median round.
        precision (str): 'fp32' or 'bf16': whose matmul peak the rate is held against.
        values (dict[str, float]): Further columns, with the unit in the name: ``dict(read_ms=0.1)``.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    peak_mib: float | None = None
    ratio: Ratio | None = None
    gflops_per_s: float | None = None
    precision: str = 'fp32'
    values: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, measurement: Measurement, baseline: Measurement | None = None, **values: float) -> Row:
        """Of a measurement; ``values`` are further columns."""
        return cls(
            name=measurement.variant.name,
            seconds=measurement.seconds,
            peak_mib=measurement.peak_mib,
            ratio=None if baseline is None else ratio(baseline, measurement),
            gflops_per_s=measurement.gflops_per_s,
            precision=measurement.variant.precision,
            values=values,
        )


@dataclass
class Section:
    """What a section found.

    Args:
        title (str): What was run, on what input.
        rows (list[Row]): The table.
        gates (list[Gate]): The equalities that had to hold.
        goals (list[Goal]): What was aimed at.
        notes (list[str]): What was left out, and whatever a reader has to know.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_rows(self, measured: Mapping[str, Measurement], baseline: str) -> None:
        """Add a row for each measurement, with its ratio to the baseline among them."""
        self.rows += [Row.of(measurement, measured[baseline]) for measurement in measured.values()]
