"""What a guard looks at in a refined mask."""

from __future__ import annotations

import torch
from torch import Tensor

from ...structures import SegOutput
from ...utils.count_components import count_components


def agreement(coarse: Tensor, refined: SegOutput) -> Tensor:
    """IoU of the two masks, (N, K) in [0, 1]; 1 where both are empty."""
    mask = refined.logits > 0
    union = (coarse | mask).sum(dim=(-2, -1))
    return torch.where(union > 0, (coarse & mask).sum(dim=(-2, -1)) / union.clamp(min=1), 1.0)


def area_ratio(coarse: Tensor, refined: SegOutput) -> Tensor:
    """Area of the refined mask over that of the coarse one, (N, K); 1 where both are empty, else x / 0 is infinite."""
    before, after = coarse.sum(dim=(-2, -1)), (refined.logits > 0).sum(dim=(-2, -1))
    return torch.where(before == after, 1.0, after / before)


def components(coarse: Tensor, refined: SegOutput) -> Tensor:
    """Number of connected components of the refined mask, (N, K) float; counted on the CPU, by scipy."""
    masks = (refined.logits > 0).cpu().numpy()
    counts = [[float(count_components(mask)) for mask in slots] for slots in masks]
    return torch.tensor(counts, device=coarse.device)


def predicted_iou(coarse: Tensor, refined: SegOutput) -> Tensor:
    """The quality, (N, K).

    Raises:
        ValueError: If there is none.
    """
    if refined.quality is None:
        raise ValueError(
            'GuardedRefiner has a rule on predicted_iou, but its refiner predicts none (quality is None); drop the rule'
        )
    return refined.quality


# Each takes the coarse mask (N, K, H, W) bool and the refined output with logits (N, K, H, W), and gives (N, K).
GUARD_MEASURES = dict(agreement=agreement, area_ratio=area_ratio, components=components, predicted_iou=predicted_iou)
