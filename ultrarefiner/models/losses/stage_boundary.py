"""StageBoundary: an error costs its distance to the true border."""

import torch
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from .pixel_mean import pixel_mean


@STAGE_LOSSES.register_module()
class StageBoundary(BaseStageLoss):
    """``mean(phi (p - t))``: each pixel's error times its distance to the true border (Kervadec et al., 2019).

    ``phi`` is the signed distance of `StageTarget.signed_distance`, negative inside, in diagonals of the image. The
    paper's ``mean(phi p)`` differs by a constant of the image; with it a perfect mask costs 0.

    Errors at the border are nearly free, so it comes in addition to an overlap loss. The distances of each new batch
    are computed on the CPU.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
    """

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots and counted pixels, (N, )."""
        logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        mask, weight = target.at(logits.shape[-2:])
        distance = target.signed_distance(logits.shape[-2:])
        return pixel_mean(distance * (logits.sigmoid() - mask), weight)
