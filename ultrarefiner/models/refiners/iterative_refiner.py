"""IterativeRefiner: a refiner whose own mask and box are given to it again."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import torch
from torch import Tensor

from ...registry import PROMPT_GENERATORS, REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...utils.freeze import freeze
from ...utils.resize_logits import resize_logits
from .refiner_wrapper import RefinerWrapper


@REFINERS.register_module()
class IterativeRefiner(RefinerWrapper):
    """Decodes several times, each time with the mask and the box of the pass before in the place of the prompts.

    The image is encoded once, and points are kept. Only kinds that came are replaced: without a mask prompt no mask is
    fed back, without a box no box, and without either one pass is all there is. A slot in which a pass finds nothing
    keeps the prompts that it had.

    The mask that is fed back is the candidate with the highest predicted IoU, as in SAM's training, or the logits of a
    refiner without candidates. A crop, a gate or a guard goes around the iterations, not inside of them.

    Args:
        refiner (dict): Config of the refiner that is run.
        num_iterations (int): Passes; 1 is the held refiner itself. Defaults to 3.
        box (dict, optional): Config of the generator that makes a box of the mask, such as
            ``dict(type='ThresholdBox')``; its weights are frozen. None keeps the box that came.
        backprop_iterations (int, optional): Through how many of the last passes gradient flows. With fewer than
            ``num_iterations`` the passes before cost no memory, but a mask or box that is replaced then brings no
            gradient to the coarse network. None is all of them.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If a number is out of range, or ``box`` makes something else than boxes.
    """

    def __init__(
        self,
        refiner: dict,
        num_iterations: int = 3,
        box: dict | None = None,
        backprop_iterations: int | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(refiner, init_cfg)
        if backprop_iterations is None:
            backprop_iterations = num_iterations
        if not 1 <= backprop_iterations <= num_iterations:
            raise ValueError(
                f'IterativeRefiner: num_iterations is {num_iterations} and backprop_iterations {backprop_iterations}, '
                'expected 1 <= backprop_iterations <= num_iterations'
            )
        self.num_iterations = num_iterations
        self.backprop_iterations = backprop_iterations
        self.box = None if box is None else PROMPT_GENERATORS.build(box)
        if self.box is not None:
            if self.box.produces != {'boxes'}:
                raise ValueError(
                    f'IterativeRefiner: box is a {type(self.box).__name__}, which produces '
                    f'{sorted(self.box.produces)}; expected a generator of boxes alone, such as ThresholdBox'
                )
            freeze(self.box)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Decode ``num_iterations`` times.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, h, w), given to every pass.
            prompts (Prompts): Of the first pass; normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: Of the last pass.
        """
        fed_back = prompts.kinds & ({'masks'} if self.box is None else {'masks', 'boxes'})
        for remaining in range(self.num_iterations - 1 if fed_back else 0, 0, -1):
            without_graph = remaining >= self.backprop_iterations
            with torch.no_grad() if without_graph else contextlib.nullcontext():
                output = self.refiner.decode(embedding, coarse, prompts, size)
                prompts = self._feed_back(output, prompts, embedding)
        return self.refiner.decode(embedding, coarse, prompts, size)

    def _feed_back(self, output: SegOutput, prompts: Prompts, embedding: ImageEmbedding) -> Prompts:
        """The prompts of the next pass."""
        mask = _own_mask(output)
        found = (mask.detach() > 0).flatten(2).any(dim=-1)
        changed = {}
        if prompts.masks is not None:
            kept = resize_logits(prompts.masks, mask.shape[-2:])
            changed['masks'] = torch.where(found[..., None, None], mask, kept)
        if prompts.boxes is not None and self.box is not None:
            boxes = self.box(SegOutput(mask), list(embedding.images))
            usable = (found & boxes.valid)[..., None]
            changed['boxes'] = torch.where(usable, boxes.boxes, prompts.boxes)
        return replace(prompts, **changed)


def _own_mask(output: SegOutput) -> Tensor:
    """The mask of a pass, (N, K, h, w) logits over the whole image."""
    if output.candidates is None or output.candidate_quality is None:
        return output.logits
    best = output.candidate_quality.argmax(dim=-1, keepdim=True)
    index = best[..., None, None].expand(-1, -1, 1, *output.candidates.shape[-2:])
    return output.candidates.gather(2, index)[:, :, 0]
