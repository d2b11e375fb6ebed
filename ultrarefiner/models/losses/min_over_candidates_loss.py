"""MinOverCandidatesLoss: only the best candidate learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...interfaces import BaseStageLoss
from ...registry import STAGE_LOSSES
from ...structures import SegOutput, StageTarget
from ...structures.stages import IGNORE_LABEL


@STAGE_LOSSES.register_module()
class MinOverCandidatesLoss(BaseStageLoss):
    """The loss of the best candidate mask of each slot, which alone learns (Kirillov et al., 2023, on ambiguity).

    A candidate costs the weighted sum of ``losses`` at its own size (h, w); the smallest cost counts. A stage without
    candidates has one, its mask.

    Args:
        stage (str): 'coarse' or 'refined'.
        loss_weight (float): Factor. Defaults to 1.0.
        losses (list[dict], optional): Configs of stage losses on masks, without their ``stage``. Defaults to `StageBCE`
            and `StageDice`.

    Raises:
        ValueError: If a loss does not judge masks.
    """

    def __init__(self, stage: str, loss_weight: float = 1.0, losses: list | tuple | None = None):
        super().__init__(stage, loss_weight)
        losses = losses or [dict(type='StageBCE'), dict(type='StageDice')]
        self.losses = nn.ModuleList(STAGE_LOSSES.build(dict(loss, stage=stage)) for loss in losses)
        for loss in self.losses:
            if loss.reads_quality or not loss.orders_masks:
                raise ValueError(
                    f'MinOverCandidatesLoss: {type(loss).__name__} judges no mask, so it cannot tell the best '
                    'candidate; put it beside this loss, among the losses of the model'
                )

    def per_image(self, output: SegOutput, target: StageTarget) -> Tensor:
        """The mean over slots, (N, )."""
        candidates = output.logits[:, :, None] if output.candidates is None else output.candidates
        slots = candidates.shape[:2]
        truth = split_slots(target)
        costs = torch.stack(
            [self._cost(logits[:, None], truth) for logits in candidates.flatten(0, 1).unbind(dim=1)], dim=1
        )  # (N K, M)
        return costs.min(dim=1).values.unflatten(0, slots).mean(dim=1)

    def _cost(self, logits: Tensor, truth: StageTarget) -> Tensor:
        """The cost (B, ) of logits (B, 1, h, w)."""
        return sum(loss.loss_weight * loss.per_image(SegOutput(logits), truth) for loss in self.losses)


def split_slots(target: StageTarget) -> StageTarget:
    """The ground truth of N images with K slots as that of N * K images with one slot."""
    if target.num_slots == 1:
        return target
    ignored = [label == IGNORE_LABEL for label in target.labels]
    labels = [
        torch.where(ignore, label, (label == slot + 1).to(label.dtype))
        for label, ignore in zip(target.labels, ignored)
        for slot in range(target.num_slots)
    ]
    return StageTarget(labels, num_slots=1)
