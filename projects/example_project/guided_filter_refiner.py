"""GuidedFilterRefiner: the coarse mask, pulled to the edges of the image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ultrarefiner.interfaces import BaseRefiner
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import ImageEmbedding, InputProfile, Prompts, SegOutput


@REFINERS.register_module()
class GuidedFilterRefiner(BaseRefiner):
    """A guided filter (He et al., 2010) of the mask prompt, with the image as guide and a learnt sharpness.

    Args:
        size (tuple[int, int]): (height, width) in pixels at which it filters. Defaults to (96, 96).
        radius (int): Of the filter's window, in pixels. Defaults to 4.
        eps (float): Variance of the guide below which a window counts as flat. Defaults to 1e-3.
    """

    accepts = frozenset({'masks'})

    def __init__(self, size: tuple[int, int] = (96, 96), radius: int = 4, eps: float = 1e-3):
        super().__init__()
        self.input_profile = InputProfile(size=size, grey=True)
        self.radius = radius
        self.eps = eps
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """The guide: grey, in [0, 1]."""
        return ImageEmbedding(*self.input_profile.prepare(images))

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Filter each slot's mask."""
        guide = embedding.features  # (N, 1, h, w)
        mask = F.interpolate(prompts.masks.float(), guide.shape[-2:], mode='bilinear').sigmoid()  # (N, K, h, w)
        mean_guide, mean_mask = self._mean(guide), self._mean(mask)
        slope = (self._mean(guide * mask) - mean_guide * mean_mask) / (self._mean(guide**2) - mean_guide**2 + self.eps)
        filtered = self._mean(slope) * guide + self._mean(mean_mask - slope * mean_guide)
        logits = self.log_sharpness.exp() * filtered.clamp(1e-4, 1 - 1e-4).logit()
        return SegOutput(F.interpolate(logits, size, mode='bilinear'))

    def _mean(self, maps: Tensor) -> Tensor:
        side = 2 * self.radius + 1
        return F.avg_pool2d(maps, side, stride=1, padding=self.radius, count_include_pad=False)
