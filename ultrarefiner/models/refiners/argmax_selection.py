"""ArgmaxSelection: the candidate with the highest predicted IoU."""

from torch import Tensor

from ...interfaces import BaseCandidateSelection
from ...registry import CANDIDATE_SELECTIONS


@CANDIDATE_SELECTIONS.register_module()
class ArgmaxSelection(BaseCandidateSelection):
    """Takes the candidate whose predicted IoU is highest, the first one at a tie (method text, phase 2).

    Only the chosen candidate gets gradient from a loss on the mask; the choice itself gets none.
    """

    def forward(self, candidates: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Select.

        Args:
            candidates (Tensor): (B, M, h, w) logits.
            quality (Tensor): (B, M) predicted IoU.

        Returns:
            tuple[Tensor, Tensor]: The mask logits (B, h, w) and their predicted IoU (B, ).
        """
        best = quality.argmax(dim=1, keepdim=True)
        index = best[..., None, None].expand(-1, 1, *candidates.shape[-2:])
        return candidates.gather(1, index)[:, 0], quality.gather(1, best)[:, 0]
