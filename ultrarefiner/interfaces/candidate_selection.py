"""The contract of a candidate selection."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class BaseCandidateSelection(nn.Module, ABC):
    """Makes one mask of a refiner's candidates.

    Attributes:
        reads_quality (bool): Whether gradient flows through the predicted quality.
    """

    reads_quality: bool = False

    @abstractmethod
    def forward(self, candidates: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Select.

        Args:
            candidates (Tensor): (B, M, h, w) logits.
            quality (Tensor): (B, M) predicted IoU.

        Returns:
            tuple[Tensor, Tensor]: The mask logits (B, h, w) and their predicted IoU (B, ).
        """
