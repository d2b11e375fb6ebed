"""How much of the refined loss's gradient reaches the coarse network, and through which prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import torch
from torch import Tensor

from ..interfaces import BasePromptGenerator
from ..models.segmentors import CoarseToFine
from ..structures import ImageEmbedding, Prompts, SegOutput, StageTarget
from ..structures.stages import Stages

ALL, DIRECT = 'all prompts', 'coarse logits, direct'


@dataclass(frozen=True)
class Flow:
    """The gradient that reaches the coarse network's weights on one way.

    Args:
        way (str): The prompt generator it passes through, or `ALL`, or `DIRECT` for what a refiner takes from the
            coarse logits themselves.
        kinds (str): The prompt kinds of that generator, joined by '+'.
        norm (float): Its L2 norm over all weights.
        cosine_coarse (float): Cosine of its angle with the gradient of the coarse loss: negative where the two losses
            pull the coarse network apart. NaN where one of them is zero.
        cosine_all (float): Cosine of its angle with the gradient on all ways together.
        slopes (tuple[float, ...]): Its derivative along its own direction, by central finite differences, one for each
            step asked for. They tend to ``norm`` as the step shrinks where the way is differentiable and its landscape
            smooth, until the float32 of the loss rounds the difference away; and to another number where the way passes
            a straight-through estimate.
    """

    way: str
    kinds: str
    norm: float
    cosine_coarse: float
    cosine_all: float
    slopes: tuple[float, ...] = ()


class GradientFlow:
    """Measures the gradient of the refined loss on the coarse network's weights, way by way.

    On each way the prompts of one generator depend on the weights and everything else is held, so that the gradients of
    the ways add up to the whole one.

    Args:
        model (CoarseToFine): With a refiner.
        images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8.
        samples (list[SegDataSample]): With their ground truth.
        as_if_found (bool): Whether to shift the coarse logits to those of the ground truth, 4 and -4, where weights are
            random and find nothing worth refining; the shift is constant, so the gradient is the network's. Defaults to
            False.

    Raises:
        ValueError: If the model has no refiner.
    """

    def __init__(self, model: CoarseToFine, images: list[Tensor], samples: list, as_if_found: bool = False):
        if model.refiner is None or model.prompt_generator is None or model.refine_size is None:
            raise ValueError('GradientFlow: the model has no refiner; give one of phase 2 or 3')
        self.model, self.images, self.samples = model, images, samples
        self.generator, self.size = model.prompt_generator, model.refine_size
        self.target = StageTarget([sample.gt_sem_seg.data[0] for sample in samples], num_slots=model.num_slots)
        self.weights = [weight for weight in model.coarse.parameters() if weight.requires_grad]
        self.shift: Tensor | float = 0.0
        with torch.no_grad():
            coarse = self._coarse()
            if as_if_found:
                mask, _ = self.target.at(coarse.logits.shape[-2:])
                self.shift = 8 * mask - 4 - coarse.logits
                coarse = self._coarse()
            self.embedding: ImageEmbedding = model.refiner.encode_image(images)
            self.held = model.split_objects(coarse)
            self.held_prompts = [part(self.held, images) for part in self.parts]

    @property
    def parts(self) -> list[BasePromptGenerator]:
        """The generators that the model's combination holds, or the generator itself."""
        return list(getattr(self.generator, 'generators', [self.generator]))

    def measure(self, steps: Sequence[float] = (), track: Callable[[Sequence], Iterable] = iter) -> list[Flow]:
        """Measure all ways.

        Args:
            steps (Sequence[float]): Lengths of steps for finite differences, in the space of all weights; each costs
                two forward passes a way. Defaults to none.
            track (Callable): Wraps the list of ways, to show progress; once, and for the steps once more.

        Returns:
            list[Flow]: All prompts together, then each generator alone, then the direct way where there is one.
        """
        ways = [ALL, *range(len(self.parts)), DIRECT]
        gradients = {way: self._gradient(self._refined_loss(way)) for way in track(ways)}
        if not bool(gradients[DIRECT].any()):
            ways.remove(DIRECT)
        if len(self.parts) == 1 and DIRECT not in ways:
            ways.remove(0)
        coarse = self._gradient(self._coarse_loss())
        return [
            Flow(
                way=type(self.parts[way]).__name__ if isinstance(way, int) else way,
                kinds='+'.join(sorted(self._kinds(way))),
                norm=float(gradients[way].norm()),
                cosine_coarse=_cosine(gradients[way], coarse),
                cosine_all=_cosine(gradients[way], gradients[ALL]),
                slopes=tuple(self._slope(way, gradients[way], step) for step in steps),
            )
            for way in (track(ways) if steps else ways)
        ]

    def _kinds(self, way: str | int) -> frozenset[str]:
        if isinstance(way, int):
            return self.parts[way].produces
        return self.generator.produces if way == ALL else frozenset()

    def _coarse(self) -> SegOutput:
        coarse = self.model.run_coarse(self.images, self.samples)
        return coarse._replace(logits=coarse.logits + self.shift)

    def _coarse_loss(self) -> Tensor:
        coarse = self._coarse()
        return self._sum_of_losses(Stages(coarse, None, coarse), 'coarse')

    def _refined_loss(self, way: str | int) -> Tensor:
        """The refined loss, with only one way depending on the weights."""
        coarse = self._coarse()
        objects = self.model.split_objects(coarse)
        prompts: Prompts = reduce(
            or_,
            (
                part(objects, self.images) if way in (ALL, index) else held
                for index, (part, held) in enumerate(zip(self.parts, self.held_prompts))
            ),
        )
        source = objects if way in (ALL, DIRECT) else self.held
        refined = self.model.refine(self.embedding, source, prompts, self.size)
        return self._sum_of_losses(Stages(coarse, prompts, refined), 'refined')

    def _sum_of_losses(self, stages: Stages, stage: str) -> Tensor:
        losses = [loss(stages, self.target) for loss in self.model.losses if loss.stage == stage]
        return sum(losses, torch.zeros((), device=stages.coarse.logits.device))

    def _gradient(self, loss: Tensor) -> Tensor:
        """On all weights, as one vector."""
        if not loss.requires_grad:
            return torch.cat([torch.zeros_like(weight).flatten() for weight in self.weights])
        gradients = torch.autograd.grad(loss, self.weights, allow_unused=True)
        return torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for w, g in zip(self.weights, gradients)])

    @torch.no_grad()
    def _slope(self, way: str | int, gradient: Tensor, step: float) -> float:
        norm = gradient.norm()
        if norm == 0:
            return 0.0
        direction = torch.split(gradient / norm, [weight.numel() for weight in self.weights])
        values = []
        for sign in (1, -1):
            self._move(direction, sign * step)
            values.append(float(self._refined_loss(way)))
            self._move(direction, -sign * step)
        return (values[0] - values[1]) / (2 * step)

    def _move(self, direction: tuple[Tensor, ...], step: float) -> None:
        for weight, part in zip(self.weights, direction):
            weight.add_(part.view_as(weight), alpha=step)


def _cosine(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.double(), theirs.double()
    length = ours.norm() * theirs.norm()
    return float((ours * theirs).sum() / length) if length > 0 else float('nan')
