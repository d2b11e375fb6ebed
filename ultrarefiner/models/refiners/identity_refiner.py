"""IdentityRefiner: the coarse result as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from ...interfaces import BaseRefiner
from ...registry import REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...structures.prompts import KINDS
from ...utils.resize_logits import resize_logits


@REFINERS.register_module()
class IdentityRefiner(BaseRefiner):
    """Gives the coarse logits, resized bilinearly; it has no weights, and looks at neither image nor prompts.

    The null row of an ablation, and the ruler for wrappers, whose own effect is all that is left around it.

    Args:
        init_cfg (dict, optional): mmengine's.
    """

    accepts = frozenset(KINDS)

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """Nothing of the images but their sizes.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Without features, (N, 0, 1, 1).
        """
        content = torch.tensor([image.shape[-2:] for image in images], device=images[0].device)
        return ImageEmbedding(content.new_zeros(len(images), 0, 1, 1, dtype=torch.float32), content)

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Resize the coarse logits.

        Args:
            embedding (ImageEmbedding): Not read.
            coarse (SegOutput): Logits (N, K, h, w).
            prompts (Prompts): Not read.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W) alone.
        """
        return SegOutput(resize_logits(coarse.logits, size))
