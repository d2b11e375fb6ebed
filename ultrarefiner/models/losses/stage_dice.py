"""StageDice: soft Dice of each image and slot."""

import torch
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from ...structures.stages import all_count


@STAGE_LOSSES.register_module()
class StageDice(BaseStageLoss):
    """``1 - (2 sum(p t) + smooth) / (sum(p^exponent) + sum(t) + smooth)``, per image and slot, then averaged.

    ``exponent=1`` is the usual soft Dice; ``exponent=2`` is the squared denominator of V-Net and of TransUNet's code
    (which also averages over the background; one-vs-rest logits have no such channel).

    ``smooth`` counts pixels. Above 0 it orders the predictions of an image without an object (an empty one costs 0, a
    full one nearly 1), and empty before inverted where there is one. At the 1e-5 of TransUNet's code float32 no longer
    tells the latter two apart for a hard mask of some hundred pixels.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
        smooth (float): In pixels, positive. Defaults to 1.0.
        exponent (float): Of the probabilities in the denominator, at least 1. Defaults to 1.0.

    Raises:
        ValueError: If ``smooth`` or ``exponent`` is out of range.
    """

    def __init__(self, stage: str, loss_weight: float = 1.0, smooth: float = 1.0, exponent: float = 1.0):
        super().__init__(stage, loss_weight)
        if not smooth > 0:
            raise ValueError(f'StageDice: smooth is {smooth}, expected a positive number of pixels')
        if not exponent >= 1:
            raise ValueError(f'StageDice: exponent is {exponent}, expected at least 1 (2 for the squared denominator)')
        self.smooth = smooth
        self.exponent = exponent

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots, (N, )."""
        logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        mask, weight = target.at(logits.shape[-2:])
        probability = logits.sigmoid()
        if not all_count(weight):
            probability, mask = probability * weight, mask * weight
        overlap = (probability * mask).sum(dim=(-2, -1))
        power = probability if self.exponent == 1 else probability**self.exponent
        total = power.sum(dim=(-2, -1)) + mask.sum(dim=(-2, -1))
        dice = (2 * overlap + self.smooth) / (total + self.smooth)  # (N, K)
        return 1 - dice.mean(dim=1)
