"""Which slots hold something to refine, and what the others get: one rule for every generator.

A slot is valid where some pixel of it is more probable than a threshold. An invalid slot keeps its coarse result, so
its prompts only have to be harmless: the centre of the image and the whole image, with no gradient. A valid slot has at
least one pixel of known weight, which bounds every division by a sum of weights; no epsilon is needed.
"""

import torch
from torch import Tensor

from ...structures import SegOutput


def soft_mask(coarse: SegOutput, threshold: float) -> tuple[Tensor, Tensor]:
    """The probabilities of a coarse result, and which slots hold something.

    Args:
        coarse (SegOutput): Logits (N, K, H, W).
        threshold (float): Probability in (0, 1).

    Returns:
        tuple[Tensor, Tensor]: Probabilities (N, K, H, W) in [0, 1], in float32 or wider; and valid (N, K) bool, True
        where some pixel exceeds ``threshold``.
    """
    logits = coarse.logits
    # Sums over all pixels need float32 even where the network ran in half precision.
    probability = logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()
    return probability, (probability.detach() > threshold).flatten(2).any(dim=-1)


def weights_or_uniform(weights: Tensor, valid: Tensor) -> Tensor:
    """Weights (N, K, H, W), replaced by 1 in the slots that are not valid (N, K): their centroid is (0.5, 0.5)."""
    return torch.where(valid[..., None, None], weights, torch.ones_like(weights))


def boxes_or_full(boxes: Tensor, valid: Tensor) -> Tensor:
    """Boxes (N, K, 4), normalised, replaced by the whole image in the slots that are not valid (N, K)."""
    return torch.where(valid[..., None], boxes, boxes.new_tensor([0.0, 0.0, 1.0, 1.0]))


def check_threshold(owner: object, threshold: float) -> float:
    """Return the threshold.

    Raises:
        ValueError: If it is not a probability strictly between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(
            f'{type(owner).__name__}: threshold is {threshold}, expected a probability strictly between 0 and 1'
        )
    return threshold


def check_power(owner: object, power: float) -> float:
    """Return the power of a weight.

    Raises:
        ValueError: If it is below 1, where the gradient at a weight of 0 is infinite.
    """
    if not power >= 1:
        raise ValueError(
            f'{type(owner).__name__}: power is {power}, expected at least 1 (below, the gradient at probability 0 is '
            'infinite)'
        )
    return power


def check_floor(owner: object, floor: float, threshold: float) -> float:
    """Return the probability below which a pixel has no weight.

    Raises:
        ValueError: If it is not in [0, threshold).
    """
    if not 0 <= floor < threshold:
        raise ValueError(
            f'{type(owner).__name__}: floor is {floor}, expected a probability in [0, threshold={threshold})'
        )
    return floor
