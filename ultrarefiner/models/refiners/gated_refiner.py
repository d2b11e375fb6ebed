"""GatedRefiner: the coarse and the refined mask mixed, pixel by pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import GATES, REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...utils.resize_logits import resize_logits
from .refiner_wrapper import RefinerWrapper

# Below this a gate counts as closed: the derivative of its logarithm, 1 / g, has to stay finite.
CLOSED = 1e-30


@REFINERS.register_module()
class GatedRefiner(RefinerWrapper):
    """A refiner whose result is ``c + g * (r - c)``: coarse and refined probability, and a gate g in [0, 1].

    Where the gate is 0 the coarse logits come back as they are (resized), where it is 1 the refined ones. Gradient
    flows to the coarse logits, the inner refiner and the gate, whose weights are never frozen.

    The candidates are the inner refiner's (its own mask where it has a predicted IoU but no candidates), with their
    predicted IoU: a loss teaches it what its own masks are worth. ``quality`` is the IoU that the inner refiner
    predicts for its own mask; it stands for that of the mixture, without gradient.

    In a config, around the refiner of a fragment::

        refiner=dict(type='GatedRefiner', refiner=_base_.refiner, gate=dict(type='UncertaintyGate', gmax=0.8))

    Args:
        refiner (dict): Config of the refiner to hold.
        gate (dict): Config of the gate.
        init_cfg (dict, optional): mmengine's.
    """

    def __init__(self, refiner: dict, gate: dict, init_cfg: dict | None = None):
        super().__init__(refiner, init_cfg)
        self.gate = GATES.build(gate)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Refine, then mix.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, H', W').
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W) in float32 or wider; the rest as above.
        """
        refined = self.refiner.decode(embedding, coarse, prompts, size)
        kept = resize_logits(coarse.logits, size)
        mixed = mix_probabilities(kept, refined.logits, self.gate(kept, refined.logits))
        if refined.quality is None:
            return refined._replace(logits=mixed)
        if refined.candidate_quality is None:
            refined = refined._replace(
                candidates=refined.logits[:, :, None], candidate_quality=refined.quality[..., None]
            )
        return refined._replace(logits=mixed, quality=refined.quality.detach())


def mix_probabilities(coarse: Tensor, refined: Tensor, gate: Tensor) -> Tensor:
    """The logit of ``(1 - g) * sigmoid(coarse) + g * sigmoid(refined)``, with finite gradients at any finite logits.

    It is ``log p - log(1 - p)``, both from logarithms of the parts, so that a probability of 1e-30 stays what it is.

    Args:
        coarse (Tensor): (N, K, H, W) logits.
        refined (Tensor): (N, K, H, W) logits.
        gate (Tensor): (N, K, H, W) in [0, 1]. Up to 1e-30 gives exactly ``coarse``, 1 exactly ``refined``; there the
            gate gets no gradient.

    Returns:
        Tensor: (N, K, H, W) logits, in float32 or wider.
    """
    dtype = torch.promote_types(coarse.dtype, torch.promote_types(refined.dtype, torch.float32))
    coarse, refined, gate = coarse.to(dtype), refined.to(dtype), gate.to(dtype)
    closed, opened = gate <= CLOSED, gate >= 1
    # A where alone would not do: the gradient of log(0), infinity, times 0 is nan.
    inner = torch.where(closed | opened, 0.5, gate)
    log_coarse, log_refined = torch.log1p(-inner), inner.log()
    foreground = torch.logaddexp(log_coarse + F.logsigmoid(coarse), log_refined + F.logsigmoid(refined))
    background = torch.logaddexp(log_coarse + F.logsigmoid(-coarse), log_refined + F.logsigmoid(-refined))
    return torch.where(closed, coarse, torch.where(opened, refined, foreground - background))
