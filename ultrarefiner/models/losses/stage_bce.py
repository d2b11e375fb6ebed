"""StageBCE: binary cross-entropy of each slot."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from .pixel_mean import pixel_mean


@STAGE_LOSSES.register_module()
class StageBCE(BaseStageLoss):
    """Binary cross-entropy with logits, each slot on its own: the mean over slots and counted pixels.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
    """

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots and counted pixels, (N, )."""
        logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        mask, weight = target.at(logits.shape[-2:])
        values = F.binary_cross_entropy_with_logits(logits, mask.to(logits.dtype), reduction='none')
        return pixel_mean(values, weight)
