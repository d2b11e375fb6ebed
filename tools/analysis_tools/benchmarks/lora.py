"""The lora section: forward and backward pass of a frozen image encoder with LoRA, against `segment_anything`'s."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ultrarefiner.models.peft import LoRAAdapter

from .encoders import EncoderBench
from .equality import relative_error
from .harness import (
    Gate,
    Goal,
    Measurement,
    Options,
    Section,
    alternate,
    memory_share,
    ratio,
    setting_name,
    variants_of,
)

RANK = 4
B_STD = 0.02  # Of LoRA's B, which starts at zero and would leave A without a gradient.
MOST_ROUNDS = 3  # A run of the original takes half a minute on a CPU.
LIMITS = dict(fp32=1e-5, bf16=5e-2)
# Goals on a CPU, by allocator and setting: times as fast as the original in the same precision, share of its memory.
CPU_GOALS = {
    'default': {'fp32': (1.6, 0.41), 'fp32 medium': (2.6, 0.41)},
    'tuned': {'fp32': (1.0, 1 / 4), 'fp32 medium': (1.0, 1 / 4), 'bf16': (1.0, 1 / 4)},
}
GPU_GOAL = 1.8, 1 / 3


def run(options: Options) -> Section:
    """Run the section."""
    bench = EncoderBench.make(options)
    section = Section(f'LoRA of rank {RANK} on every qkv, forward and backward, {bench.title}')
    torch.manual_seed(2)
    # No mean square alone: the embedding is normalised, and that of it is constant.
    target = torch.randn(1, *bench.embedding_shape, device=options.device)
    kept, recomputed = bench.ours(), bench.ours('recomputed')
    adapt(bench.original, kept, recomputed)

    step = partial(lora_gradients, bench.images, target)
    [original] = variants_of('segment_anything', partial(step, bench.original), options.settings[:1])
    ours = variants_of('ours', partial(step, kept), options.settings)
    ours += variants_of('ours, activations recomputed', partial(step, recomputed), options.settings[-1:])
    measured = alternate([original, *ours], min(options.rounds, MOST_ROUNDS))
    section.add_rows(measured, original.name)
    base = measured[original.name]
    exact = base.result if options.precision == 'fp32' else step(bench.original, 'fp32')
    for one in ours if options.precision == 'fp32' else (original, *ours):
        error = relative_error(measured[one.name].result, exact)
        section.gates.append(
            Gate(f'gradients of {one.name} and of segment_anything, fp32', error, LIMITS[one.precision])
        )
    section.goals += goals(options, base, [measured[one.name] for one in ours])
    section.notes.append(
        f'lora: at most {MOST_ROUNDS} rounds; segment_anything with the fast float32 matmul was left out'
    )
    return section


def adapt(*encoders: nn.Module) -> None:
    """Give all of them the same LoRA, in place, with no weight at zero."""
    for encoder in encoders:
        LoRAAdapter(r=RANK).inject(encoder)
    first = lora_weights(encoders[0])
    with torch.no_grad():
        for name, weight in first.items():
            if 'lora_B' in name:
                weight.normal_(std=B_STD)
    for encoder in encoders[1:]:
        encoder.load_state_dict(first, strict=False)


def lora_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """Everything that trains, by name."""
    return {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}


def lora_gradients(images: Tensor, target: Tensor, encoder: nn.Module, precision: str) -> dict[str, Tensor]:
    """The gradients of the mean squared distance to a target, by the weight's name."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == 'bf16'):
        embedding = encoder(images)
    loss = F.mse_loss(embedding.float(), target.expand_as(embedding))
    weights = lora_weights(encoder)
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


def goals(options: Options, base: Measurement, ours: list[Measurement]) -> list[Goal]:
    """What is aimed at.

    Args:
        options (Options): Of the section.
        base (Measurement): The original in the same precision, as it comes.
        ours (list[Measurement]): The last one with recomputed activations, which has no goal of its own.
    """
    found = []
    for one in ours[:-1]:
        setting = setting_name(one.variant.precision, one.variant.matmul)
        wanted = GPU_GOAL if options.device == 'cuda' else CPU_GOALS[options.allocator].get(setting)
        if wanted is not None:
            name, share = f'ours, {setting}', memory_share(base, one)
            found.append(Goal(f'{name}: times as fast as {base.variant.name}', ratio(base, one).median, wanted[0]))
            found.append(Goal(f'{name}: share of the memory of {base.variant.name}', share, wanted[1], '<='))
    return found
