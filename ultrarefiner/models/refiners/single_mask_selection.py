"""SingleMaskSelection: the mask that a SAM makes for several prompts."""

from torch import Tensor

from ...interfaces import BaseCandidateSelection
from ...registry import CANDIDATE_SELECTIONS


@CANDIDATE_SELECTIONS.register_module()
class SingleMaskSelection(BaseCandidateSelection):
    """Takes SAM's single-mask token; there is nothing to choose.

    SAM was trained to answer one ambiguous prompt (a point) with three candidates, and several prompts with this one
    mask (`segment_anything`'s ``multimask_output=False``). Points, box and mask of a coarse result are several.
    """

    reads_single_mask = True

    def forward(self, candidates: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Take the only candidate.

        Args:
            candidates (Tensor): (B, 1, h, w) logits.
            quality (Tensor): (B, 1) predicted IoU.

        Returns:
            tuple[Tensor, Tensor]: The mask logits (B, h, w) and their predicted IoU (B, ).

        Raises:
            ValueError: If there is more than one candidate.
        """
        if candidates.shape[1] != 1:
            raise ValueError(
                f'SingleMaskSelection: the refiner gives {candidates.shape[1]} candidates, expected the single mask '
                'only; take a refiner that reads `reads_single_mask`, or ArgmaxSelection'
            )
        return candidates[:, 0], quality[:, 0]
