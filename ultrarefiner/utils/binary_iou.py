"""The actual IoU of predicted masks."""

import torch
from torch import Tensor

from ..structures import StageTarget


@torch.no_grad()
def binary_iou(logits: Tensor, target: StageTarget) -> Tensor:
    """The IoU of binarised masks with the ground truth.

    Args:
        logits (Tensor): (N, K, M, H, W).
        target (StageTarget): The ground truth.

    Returns:
        Tensor: (N, K, M) in [0, 1]; 1 where both are empty.
    """
    mask, weight = target.at(logits.shape[-2:])
    counted = weight[:, :, None] > 0  # (N, 1, 1, H, W)
    truth = (mask[:, :, None] > 0) & counted
    predicted = (logits > 0) & counted
    intersection = (predicted & truth).sum(dim=(-2, -1))
    union = (predicted | truth).sum(dim=(-2, -1))
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0)
