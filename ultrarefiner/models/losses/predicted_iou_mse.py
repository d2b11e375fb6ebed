"""PredictedIoUMSE: teaches a refiner to know how good its masks are."""

import torch
from torch import Tensor

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from ...utils.binary_iou import binary_iou


@STAGE_LOSSES.register_module()
class PredictedIoUMSE(BaseStageLoss):
    """Mean squared error between the predicted and the actual IoU (the method, section 3, phase 2).

    The actual IoU is that of the binarised mask (logit above 0) over the counted pixels, without gradient: only the
    prediction learns. The selected mask and, where the stage gives them, all candidates count alike. Two empty masks
    have an IoU of 1.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
    """

    reads_quality = True

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots and predictions, (N, ).

        Raises:
            ValueError: If the stage gives no predicted IoU.
        """
        if output.quality is None:
            raise ValueError(
                f'PredictedIoUMSE: the stage {self.stage!r} gives no predicted IoU (quality is None), expected (N, K); '
                'drop the loss or take a refiner that predicts it'
            )
        predicted = [output.quality[..., None]]
        actual = [binary_iou(output.logits[:, :, None], target)]
        if output.candidates is not None and output.candidate_quality is not None:
            predicted.append(output.candidate_quality)
            actual.append(binary_iou(output.candidates, target))
        predicted, actual = torch.cat(predicted, dim=-1), torch.cat(actual, dim=-1)
        return (predicted.to(actual.dtype) - actual).square().mean(dim=(1, 2))
