"""ResidualRefiner: a refiner that makes the change of the coarse logits, not a mask of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...registry import REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...utils.resize_logits import resize_logits
from .refiner_wrapper import RefinerWrapper


@REFINERS.register_module()
class ResidualRefiner(RefinerWrapper):
    """A refiner whose logits are added to the coarse ones: ``limit * tanh(c / limit) + scale * r``.

    Training begins near the coarse mask, and the held refiner learns what to change of it, in the place of making the
    whole mask anew: a SAM from random weights needs many epochs for that before it is as good as what it was given.
    ``scale`` is learned; at 0 the mask is the coarse one (the ReZero of Bachlechner et al., 2021, on logits).

    A coarse network is sure of most of its errors; the limit leaves its mask as it is, and bounds what a change has to
    overcome. Near 0 the coarse logits stay what they are, and gradient flows to all of them.

    The candidates are changed masks too, so a loss on the predicted IoU judges what comes out.

    In a config, around the refiner of a fragment::

        refiner=dict(type='ResidualRefiner', refiner=_base_.refiner)

    Args:
        refiner (dict): Config of the refiner to hold.
        scale (float): Where the factor of the held refiner's logits starts. Defaults to 0.1.
        limit (float): Largest coarse logit, positive. Defaults to 5.0, a probability of 0.993.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``limit`` is not positive.
    """

    def __init__(self, refiner: dict, scale: float = 0.1, limit: float = 5.0, init_cfg: dict | None = None):
        super().__init__(refiner, init_cfg)
        if not limit > 0:
            raise ValueError(f'ResidualRefiner: limit is {limit}, expected a positive logit')
        self.limit = limit
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Refine, and add.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, H', W').
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W) in float32 or wider; where the held refiner gives them, ``quality``
            (N, K), and ``candidates`` (N, K, M, h, w), changed masks as well, with ``candidate_quality``.
        """
        change = self.refiner.decode(embedding, coarse, prompts, size)
        candidates = change.candidates
        if candidates is not None:
            candidates = self._add(coarse.logits, candidates.flatten(1, 2)).view_as(candidates)
        return change._replace(logits=self._add(coarse.logits, change.logits), candidates=candidates)

    def _add(self, coarse: Tensor, change: Tensor) -> Tensor:
        """(N, K * M, H, W): each slot's coarse logits (N, K, H', W') with each of its M changes."""
        dtype = torch.promote_types(change.dtype, torch.float32)
        bounded = self.limit * (coarse.to(dtype) / self.limit).tanh()
        kept = resize_logits(bounded, change.shape[-2:])
        return kept.repeat_interleave(change.shape[1] // kept.shape[1], dim=1) + self.scale * change.to(dtype)
