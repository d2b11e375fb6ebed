"""What a refiner's image encoder hands to its decoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageEmbedding:
    """Images seen once by a refiner, ready to be decoded with any number of prompts.

    Args:
        features (Tensor): (N, C, h, w) image features.
        content (Tensor): (N, 2) integers, the (height, width) in pixels of the refiner's input that the image covers;
            what lies right of or below it is padding.
        levels (tuple[Tensor, ...]): Further feature maps that a decoder reads, each with N in front: high-resolution
            levels (SAM 2), features of inner blocks (SAM-HQ). Defaults to none.
        images (tuple[Tensor, ...]): The N images (3, H_i, W_i), uint8, for a refiner that crops its input once it knows
            where the object is. Defaults to none.
    """

    features: Tensor
    content: Tensor
    levels: tuple[Tensor, ...] = ()
    images: tuple[Tensor, ...] = ()

    def __getitem__(self, index: slice) -> ImageEmbedding:
        """Select images (the first dimension) by a slice."""
        levels = tuple(level[index] for level in self.levels)
        return ImageEmbedding(self.features[index], self.content[index], levels, self.images[index])
