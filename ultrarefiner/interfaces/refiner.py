"""The contract of a refiner."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mmengine.model import BaseModule
from torch import Tensor, nn

from ..structures import ImageEmbedding, InputProfile, Prompts, SegOutput
from ..utils.freeze import keep_frozen_in_eval


class BaseRefiner(BaseModule, ABC):
    """Turns an image, a coarse result and prompts into a better mask.

    Attributes:
        accepts (frozenset[str]): The prompt kinds it understands, of 'points', 'boxes', 'masks'.
        predicts_quality (bool): Whether its results say how good they are; a loss on that is refused without.
        input_profile (InputProfile, optional): How it prepares its image; stored with every checkpoint.
    """

    accepts: frozenset = frozenset()
    predicts_quality: bool = False
    input_profile: InputProfile | None = None

    @property
    def cached_encoder(self) -> nn.Module | None:
        """nn.Module, optional: What alone makes ``encode_image`` of the images; None where that cannot be kept."""
        return None

    @property
    def embedding_owner(self) -> str:
        """str: The class whose ``encode_image`` it is."""
        return type(self).__name__

    @abstractmethod
    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """See the images, once for any number of prompts.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.
        """

    @abstractmethod
    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Refine.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): The coarse result, (N, K, H', W'); for refiners that blend with it or start from it.
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W). A batch equals the images one by one.
        """

    def forward(self, images: list[Tensor], coarse: SegOutput, prompts: Prompts, size: tuple[int, int]) -> SegOutput:
        """``decode(encode_image(images), ...)``."""
        return self.decode(self.encode_image(images), coarse, prompts, size)

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze the parameters that can get no gradient, so that distributed training never waits for them.

        Args:
            kinds (frozenset): The prompt kinds that will be given.
            quality_used (bool): Whether a loss reads the predicted quality.
        """

    def train(self, mode: bool = True) -> BaseRefiner:
        """Switch the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        keep_frozen_in_eval(self)
        return self
