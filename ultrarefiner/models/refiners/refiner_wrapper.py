"""RefinerWrapper: what the refiners that hold a refiner have in common."""

from __future__ import annotations

from torch import Tensor, nn

from ...interfaces import BaseRefiner
from ...registry import REFINERS
from ...structures import ImageEmbedding


class RefinerWrapper(BaseRefiner):
    """Holds a refiner and passes everything on to it; a wrapper overrides what it changes, at least ``decode``.

    Its weights have the held refiner's names behind ``refiner.``. A checkpoint of a model with the same wrapper fits as
    it is (``init_from``); that of a model with the plain `SAMRefiner` is given to the held one, as its ``checkpoint``.

    Args:
        refiner (dict): Config of the refiner to hold.
        init_cfg (dict, optional): mmengine's.

    Attributes:
        refiner (BaseRefiner): The one that is held.
    """

    def __init__(self, refiner: dict, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.refiner = REFINERS.build(refiner)
        self.accepts = self.refiner.accepts
        self.predicts_quality = self.refiner.predicts_quality
        self.input_profile = self.refiner.input_profile

    @property
    def cached_encoder(self) -> nn.Module | None:
        """nn.Module, optional: That of the held refiner."""
        return self.refiner.cached_encoder

    @property
    def embedding_owner(self) -> str:
        """str: The held refiner's."""
        return self.refiner.embedding_owner

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """What the held refiner sees.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.
        """
        return self.refiner.encode_image(images)

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze what can get no gradient in the held refiner.

        Args:
            kinds (frozenset): The prompt kinds that will be given.
            quality_used (bool): Whether a loss reads the predicted quality.
        """
        self.refiner.freeze_unused(kinds, quality_used)
