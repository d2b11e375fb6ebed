"""StageCrossEntropy: cross-entropy of exclusive classes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from .pixel_mean import pixel_mean

# Relative to what the most probable class leaves, how small a background probability float32 can tell from rounding.
RESOLUTION = 1e-6


@STAGE_LOSSES.register_module()
class StageCrossEntropy(BaseStageLoss):
    """Cross-entropy of K exclusive classes and the background, from one-vs-rest logits.

    ``log p_k = logsigmoid(l_k)`` and ``log p_0 = log(1 - sum_k p_k)``: for the logits of a softmax network that
    `one_vs_rest` converted, this is its softmax cross-entropy; for K = 1 it is the binary cross-entropy with logits.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
    """

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over the counted pixels, (N, )."""
        logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        mask, weight = target.at(logits.shape[-2:])
        background = 1 - mask.sum(dim=1, keepdim=True)
        log_likelihood = (mask * F.logsigmoid(logits)).sum(dim=1, keepdim=True)
        log_likelihood = log_likelihood + background * log_background(logits)
        return pixel_mean(-log_likelihood, weight)


def log_background(logits: Tensor) -> Tensor:
    """``log(1 - sum_k sigmoid(l_k))``, stably.

    With m the most probable class, ``1 - sum_k p_k = (1 - p_m) (1 - r)`` and ``r = sum_{k != m} p_k / (1 - p_m)``;
    both factors keep their precision however sure the network is. Logits that no softmax gives, whose probabilities add
    up to one or more, have r >= 1. There, and where r is 1 to within `RESOLUTION`, what stands for ``1 - r`` is
    ``RESOLUTION * prod_{k != m} (1 - p_k)``: finite, continuous, and with a gradient that lowers every class.

    Args:
        logits (Tensor): (N, K, H, W), one-vs-rest.

    Returns:
        Tensor: (N, 1, H, W), at most 0.
    """
    best = logits.argmax(dim=1, keepdim=True)
    left = F.logsigmoid(-logits.gather(1, best))
    # Beyond exp(1) it only matters that r exceeds 1, and the exponential must not overflow.
    terms = (F.logsigmoid(logits) - left).clamp(max=1).exp()
    ratio = terms.scatter(1, best, 0.0).sum(dim=1, keepdim=True)
    consistent = ratio < 1
    exact = torch.where(consistent, torch.log1p(-torch.where(consistent, ratio, 0)), -math.inf)
    others = F.logsigmoid(-logits).scatter(1, best, 0.0).sum(dim=1, keepdim=True)
    return left + torch.maximum(exact, math.log(RESOLUTION) + others)
