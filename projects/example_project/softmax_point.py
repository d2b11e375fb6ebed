"""SoftmaxPoint: a point where the coarse network is surest."""

import torch
from torch import Tensor

from ultrarefiner.interfaces import BasePromptGenerator
from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import Prompts, SegOutput


@PROMPT_GENERATORS.register_module()
class SoftmaxPoint(BasePromptGenerator):
    """One object point a slot: the expected position under a softmax over all pixels' logits.

    Args:
        temperature (float): The smaller, the closer to the pixel with the largest logit. Defaults to 0.5.
    """

    produces = frozenset({'points'})

    def __init__(self, temperature: float = 0.5):
        super().__init__()
        self.temperature = temperature

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one point a slot."""
        logits = coarse.logits.float()  # (N, K, H, W)
        height, width = logits.shape[-2:]
        weights = (logits / self.temperature).flatten(2).softmax(dim=-1).unflatten(2, (height, width))
        x = (torch.arange(width, device=logits.device) + 0.5) / width
        y = (torch.arange(height, device=logits.device) + 0.5) / height
        points = torch.stack([(weights.sum(dim=-2) * x).sum(dim=-1), (weights.sum(dim=-1) * y).sum(dim=-1)], dim=-1)
        points = points[:, :, None]  # (N, K, 1, 2)
        labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
        return Prompts(points=points, point_labels=labels, valid=(logits > 0).flatten(2).any(dim=-1))
