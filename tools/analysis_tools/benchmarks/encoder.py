"""The encoder section: a forward pass of SAM's image encoder, against `segment_anything` and `transformers`."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from .encoders import EncoderBench
from .equality import relative_error
from .harness import (
    AS_IT_COMES,
    NEVER_SLOWER,
    Gate,
    Goal,
    Measurement,
    Options,
    Row,
    Section,
    alternate,
    memory_share,
    ratio,
    variants_of,
)
from .machine import matmul_peaks

LIMITS = dict(fp32=1e-5, bf16=2e-2)
PEER_ROUNDS = 2  # Of `transformers`, which is slow; its place is known from a few.
# Goals on a CPU, against the original in float32 as it comes.
FASTER = dict(fp32=dict(default=2.7, tuned=1.8), bf16=dict(default=4.4, tuned=2.8))
MEMORY = dict(fp32=1 / 8, bf16=1 / 12)
MATMUL_PEAK = dict(fp32=0.73, bf16=0.5)
# Goals on a GPU, of bf16.
GPU_FASTER, GPU_FASTER_IN_BF16 = 5.0, 1.8
GPU_MEMORY_IN_BF16 = 1 / 5
GPU_MATMUL_PEAKS = (0.35, 0.6)


def run(options: Options) -> Section:
    """Run the section; in bf16 the original runs in float32 as well, as the baseline."""
    bench = EncoderBench.make(options)
    section = Section(f'image encoder, forward, {bench.title}')
    flops, step = bench.flops(), partial(forward, bench.images)
    originals = variants_of('segment_anything', partial(step, bench.original), options.baseline_settings, flops)
    ours = variants_of('ours', partial(step, bench.ours()), options.settings, flops)
    measured = alternate([*originals, *ours], options.rounds)
    base, original, fastest = (measured[v.name] for v in (originals[0], originals[-1], ours[-1]))
    section.add_rows(measured, base.variant.name)
    section.goals += goals(options, base, original, fastest)
    if options.precision == 'fp32':
        peers = []
        for kind in ('eager', 'sdpa'):
            peers += variants_of(f'transformers {kind}', partial(step, bench.transformers(kind)), [AS_IT_COMES], flops)
        against = alternate([base.variant, *peers], min(options.rounds, PEER_ROUNDS))
        section.rows += [Row.of(against[peer.name], against[base.variant.name]) for peer in peers]
        measured |= {peer.name: against[peer.name] for peer in peers}
        section.notes.append(f'encoder: transformers in float32 only, and in at most {PEER_ROUNDS} rounds')
    for name, measurement in measured.items():
        if measurement is not base:
            error = relative_error(measurement.result, base.result)
            section.gates.append(Gate(f'{name} and {base.variant.name}', error, LIMITS[options.precision]))
    return section


@torch.no_grad()
def forward(images: Tensor, encoder: nn.Module, precision: str) -> Tensor:
    """The image embedding (N, C, g, g)."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == 'bf16'):
        embedding = encoder(images)
    return getattr(embedding, 'last_hidden_state', embedding)


def goals(options: Options, base: Measurement, original: Measurement, ours: Measurement) -> list[Goal]:
    """What is aimed at.

    Args:
        options (Options): Of the section.
        base (Measurement): The original in float32, as it comes.
        original (Measurement): The original with the settings of ours.
        ours (Measurement): The fastest.
    """
    precision = options.precision
    share = ours.gflops_per_s / getattr(matmul_peaks(options.device, options.size), precision)
    named = f'ours, {precision}: '
    against_base = named + 'times as fast as segment_anything, fp32 as it comes'
    against_same = named + 'times as fast as segment_anything, the same settings'
    if options.device == 'cpu':
        faster = [Goal(against_base, ratio(base, ours).median, FASTER[precision][options.allocator])]
        if precision == 'fp32':
            faster.append(Goal(against_same + ', worst round', ratio(original, ours).worst, NEVER_SLOWER))
        memory = Goal(
            named + 'share of the memory of segment_anything, fp32',
            memory_share(base, ours),
            MEMORY[precision],
            '<=',
        )
        return [*faster, memory, Goal(named + 'share of the matmul peak', share, MATMUL_PEAK[precision])]
    if precision == 'fp32':
        return [Goal(against_same + ', worst round', ratio(original, ours).worst, NEVER_SLOWER)]
    return [
        Goal(against_base, ratio(base, ours).median, GPU_FASTER),
        Goal(against_same, ratio(original, ours).median, GPU_FASTER_IN_BF16),
        Goal(
            named + 'share of the memory of segment_anything, the same settings',
            memory_share(original, ours),
            GPU_MEMORY_IN_BF16,
            '<=',
        ),
        *(Goal(named + 'share of the matmul peak', share, wanted) for wanted in GPU_MATMUL_PEAKS),
    ]
