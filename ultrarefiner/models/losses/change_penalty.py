"""ChangePenalty: a good coarse mask is not to be spoiled."""

from __future__ import annotations

import torch
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, Stages, StageTarget
from ...utils.binary_iou import binary_iou
from ...utils.resize_logits import resize_logits
from .pixel_mean import pixel_mean


@STAGE_LOSSES.register_module()
class ChangePenalty(BaseStageLoss):
    """What the refined mask spoils where the coarse mask was right, weighed by how good the coarse mask was.

    With p(stage) the probability that a stage gives to the truth at a pixel, and the Dice of the binarised coarse mask,
    for each image and slot::

        clip((Dice - floor) / (1 - floor), 0, 1) * mean(1[p(coarse) > 0.5] * max(p(coarse) - p(refined), 0))

    over the counted pixels; then the mean over the slots. Becoming surer of what was right costs nothing, nor does any
    change of a coarse mask whose Dice is below ``floor``. Two empty masks have a Dice of 1.

    The coarse result is the reference and gets no gradient: else the penalty would also fall with a worse coarse mask.
    It says nothing about a mask that was not right before, so it comes in addition to a loss that does.

    Args:
        stage (str): 'refined', the stage that is judged. Defaults to 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
        floor (float): Dice from which a coarse mask is worth keeping, in [0, 1). Defaults to 0.6.

    Raises:
        ValueError: If ``stage`` is another one, or ``floor`` out of range.
    """

    orders_masks = False

    def __init__(self, stage: str = 'refined', loss_weight: float = 1.0, floor: float = 0.6):
        super().__init__(stage, loss_weight)
        if stage != 'refined':
            raise ValueError(f"ChangePenalty: stage is {stage!r}, expected 'refined', which it compares to the coarse")
        if not 0 <= floor < 1:
            raise ValueError(f'ChangePenalty: floor is {floor}, expected a Dice in [0, 1)')
        self.floor = floor

    def per_image_of(self, stages: Stages, target: StageTarget) -> Tensor:
        """The mean over slots and counted pixels, (N, )."""
        refined = stages.refined.logits
        refined = refined.to(torch.promote_types(refined.dtype, torch.float32))
        coarse = resize_logits(stages.coarse.logits.detach(), refined.shape[-2:]).to(refined.dtype)
        mask, weight = target.at(refined.shape[-2:])
        sign = 2 * mask - 1
        before, after = (sign * coarse).sigmoid(), (sign * refined).sigmoid()
        spoilt = (before > 0.5) * (before - after).relu()
        iou = binary_iou(coarse[:, :, None], target)[..., 0]
        dice = 2 * iou / (1 + iou)
        worth = ((dice - self.floor) / (1 - self.floor)).clamp(0, 1)
        return pixel_mean(worth[..., None, None] * spoilt, weight)

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """One stage alone shows no change.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError('ChangePenalty compares two stages; call per_image_of')
