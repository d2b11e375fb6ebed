"""The decoder section: prompts to masks for a batch of images, against a loop over them with `segment_anything`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ultrarefiner.registry import MODELS
from ultrarefiner.structures import ImageEmbedding, Prompts, SegOutput
from ultrarefiner.testing.toy_masks import ellipse_logits

from .authors_step import SELECTION_TEMPERATURE, public_sam
from .equality import relative_error
from .harness import NEVER_SLOWER, Gate, Goal, Options, Section, Variant, alternate, ratio
from .toolkit_step import architecture_of, refiner_config

IMAGES = 8
LIMITS = dict(fp32=1e-5, bf16=1e-1)  # In bf16 both round, at random weights by 6e-2 in the gradients.
GPU_FASTER = 4.0  # Forward and backward.
# Refined logits (N, 1, S, S) and predicted IoU (N, 1), of a batch.
Decoded = tuple[Tensor, Tensor]


class Side(NamedTuple):
    """Who decodes: a name, the module that holds the weights, and the function that decodes the batch."""

    name: str
    module: nn.Module
    decode: Callable[[], Decoded]


def run(options: Options) -> Section:
    """Run the section; both sides have the fast float32 matmul."""
    bench = DecoderBench(options)
    section = Section(f'prompt encoder and mask decoder, {IMAGES} images, to {bench.side} x {bench.side} pixels')
    for what, step in (('forward', bench.forward), ('forward and backward', bench.gradients)):
        loop, ours = (
            Variant(f'{side.name}, {what}', partial(step, side), None, options.precision, options.fast_matmul)
            for side in (
                Side('loop with segment_anything', bench.sam, bench.loop),
                Side('ours', bench.refiner, bench.batch),
            )
        )
        measured = alternate([loop, ours], options.rounds)
        section.add_rows(measured, loop.name)
        error = relative_error(measured[ours.name].result, measured[loop.name].result)
        section.gates.append(Gate(f'{ours.name} and {loop.name}', error, LIMITS[options.precision]))
        times = ratio(measured[loop.name], measured[ours.name])
        section.goals.append(Goal(f'{ours.name}: times as fast as the loop, worst round', times.worst, NEVER_SLOWER))
        if options.device == 'cuda' and step == bench.gradients:
            section.goals.append(Goal(f'{ours.name}: times as fast as the loop', times.median, GPU_FASTER))
    return section


class DecoderBench:
    """Random image embeddings with a point, a box and a mask each, and the two sides that decode them.

    Args:
        options (Options): Of the section.
    """

    def __init__(self, options: Options):
        self.options = options
        # Nothing here sees an image.
        architecture = replace(architecture_of(options.size), depth=0, global_attn_indexes=())
        self.sam = public_sam(architecture)
        self.refiner = MODELS.build(refiner_config(architecture))
        self.refiner.load_state_dict(self.sam.state_dict())
        for module in (self.sam, self.refiner):
            module.eval().to(options.device)
            module.image_encoder.requires_grad_(False)
        self.side = architecture.image_size
        cells = self.side // architecture.patch_size
        torch.manual_seed(1)
        self.features = torch.randn(IMAGES, architecture.prompt_dim, cells, cells, device=options.device)
        boxes = torch.rand(IMAGES, 1, 4) * 0.4 + torch.tensor([0, 0, 0.6, 0.6])
        self.prompts = Prompts(
            points=torch.rand(IMAGES, 1, 1, 2),
            point_labels=torch.ones(IMAGES, 1, 1, dtype=torch.long),
            boxes=boxes,
            masks=ellipse_logits(IMAGES, 1, self.sam.prompt_encoder.mask_input_size),
        ).to(options.device)

    def batch(self) -> Decoded:
        """All images at once, as the toolkit does it."""
        content = torch.full((IMAGES, 2), self.side, device=self.features.device)
        coarse = SegOutput(self.prompts.masks)
        refined = self.refiner.decode(
            ImageEmbedding(self.features, content), coarse, self.prompts, (self.side, self.side)
        )
        return refined.logits, refined.quality

    def loop(self) -> Decoded:
        """Image by image: prompt encoder, mask decoder, the candidates mixed by predicted IoU, the mask enlarged."""
        encoder, prompts = self.sam.prompt_encoder, self.prompts
        logits, quality = [], []
        for n in range(IMAGES):
            # In pixels of SAM's input, whose encoder adds the half itself.
            sparse, dense = encoder(
                (prompts.points[n] * self.side - 0.5, prompts.point_labels[n]),
                prompts.boxes[n] * self.side - 0.5,
                prompts.masks[n : n + 1],
            )
            candidates, judged = self.sam.mask_decoder(
                image_embeddings=self.features[n : n + 1],
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
            weights = (judged / SELECTION_TEMPERATURE).softmax(dim=1)
            mask = (weights[..., None, None] * candidates).sum(dim=1, keepdim=True)
            logits.append(self.sam.postprocess_masks(mask, (self.side, self.side), (self.side, self.side)))
            quality.append((weights * judged).sum(dim=1, keepdim=True))
        return torch.cat(logits), torch.cat(quality)

    @torch.no_grad()
    def forward(self, side: Side) -> Decoded:
        """What the decoding gives."""
        with self.options.autocast():
            return side.decode()

    def gradients(self, side: Side) -> dict[str, Tensor]:
        """The gradients of a mean square of the result, by the weight's name; 0 for a weight that takes no part."""
        with self.options.autocast():
            decoded = side.decode()
        loss = sum(part.float().square().mean() for part in decoded)
        weights = {name: weight for name, weight in side.module.named_parameters() if weight.requires_grad}
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)
        return dict(zip(weights, gradients))
