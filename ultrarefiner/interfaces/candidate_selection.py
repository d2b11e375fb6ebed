"""The contract of a candidate selection."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..structures import StageTarget


class BaseCandidateSelection(nn.Module, ABC):
    """Makes one mask of a refiner's candidates.

    Attributes:
        reads_quality (bool): Whether gradient flows through the predicted quality.
        reads_single_mask (bool): Whether it wants the one mask that a SAM makes for several prompts (M = 1) in the
            place of the three for one ambiguous prompt.
        needs_truth (bool): Whether it has to know the ground truth, for analysis; `CoarseToFine` then sets ``truth``
            before every pass.
        truth (StageTarget, optional): The ground truth of the images of this pass.
    """

    reads_quality: bool = False
    reads_single_mask: bool = False
    needs_truth: bool = False
    truth: StageTarget | None = None

    def judge(self, candidates: Tensor, quality: Tensor) -> Tensor:
        """What the selection goes by: the predicted quality, unless a selection knows better.

        Args:
            candidates (Tensor): (N, K, M, h, w) logits over the whole image.
            quality (Tensor): (N, K, M) predicted IoU.

        Returns:
            Tensor: (N, K, M).
        """
        return quality

    @abstractmethod
    def forward(self, candidates: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Select.

        Args:
            candidates (Tensor): (B, M, h, w) logits, in the refiner's own frame.
            quality (Tensor): (B, M) from `judge`.

        Returns:
            tuple[Tensor, Tensor]: The mask logits (B, h, w) and their predicted IoU (B, ).
        """
