"""What a refiner's image encoder hands to its decoder."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageEmbedding:
    """An image seen once by a refiner, ready to be decoded with any number of prompts.

    Args:
        features (Tensor): (N, C, h, w) image features.
        content (Tensor): (N, 2) integers, the (height, width) in pixels of the refiner's input that the image covers;
            what lies right of or below it is padding.
    """

    features: Tensor
    content: Tensor

    def __getitem__(self, index: slice) -> ImageEmbedding:
        """Select images (the first dimension) by a slice."""
        return ImageEmbedding(self.features[index], self.content[index])
