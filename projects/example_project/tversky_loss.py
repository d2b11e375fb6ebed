"""StageTversky: a Dice loss that weighs misses against false alarms."""

from torch import Tensor

from ultrarefiner.interfaces import BaseStageLoss
from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget


@STAGE_LOSSES.register_module()
class StageTversky(BaseStageLoss):
    """``1 - TP / (TP + alpha FP + (1 - alpha) FN)``, soft, per image and slot (Salehi et al., 2017).

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
        alpha (float): Weight of the false positives, in (0, 1); below 0.5 a miss costs more. Defaults to 0.3.
    """

    def __init__(self, stage: str, loss_weight: float = 1.0, alpha: float = 0.3):
        super().__init__(stage, loss_weight)
        if not 0 < alpha < 1:
            raise ValueError(f'StageTversky: alpha is {alpha}, expected a number strictly between 0 and 1')
        self.alpha = alpha

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots, (N, )."""
        mask, weight = target.at(output.logits.shape[-2:])  # (N, K, H, W) and (N, 1, H, W)
        probability = output.logits.float().sigmoid()
        hit, false_alarm, miss = (
            (part * weight).sum(dim=(-2, -1))
            for part in (probability * mask, probability * (1 - mask), (1 - probability) * mask)
        )
        tversky = (hit + 1) / (hit + self.alpha * false_alarm + (1 - self.alpha) * miss + 1)  # (N, K)
        return 1 - tversky.mean(dim=1)
