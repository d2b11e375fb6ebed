"""OracleSelection: the candidate that is best, by the ground truth."""

import torch
from torch import Tensor

from ...registry import CANDIDATE_SELECTIONS
from ...utils.binary_iou import binary_iou
from .argmax_selection import ArgmaxSelection


@CANDIDATE_SELECTIONS.register_module()
class OracleSelection(ArgmaxSelection):
    """Takes the candidate with the highest actual IoU: an upper bound of what a better selection could gain.

    For analysis. In evaluation mode it refuses to run unless asked, because its results are no results of a method.

    Args:
        allow_in_testing (bool): Whether to run in evaluation mode. Defaults to False.
    """

    needs_truth = True

    def __init__(self, allow_in_testing: bool = False):
        super().__init__()
        self.allow_in_testing = allow_in_testing

    def judge(self, candidates: Tensor, quality: Tensor) -> Tensor:
        """The actual IoU of each candidate, (N, K, M), without gradient.

        Args:
            candidates (Tensor): (N, K, M, h, w) logits over the whole image.
            quality (Tensor): (N, K, M) predicted IoU; not used.

        Raises:
            RuntimeError: If it is run in evaluation mode without being allowed to, or knows no ground truth.
        """
        if not (self.training or self.allow_in_testing):
            raise RuntimeError(
                'OracleSelection chooses by the ground truth, so what it gives in testing is an upper bound and no '
                'result; set selection.allow_in_testing=True for an analysis, or take another selection'
            )
        if self.truth is None:
            raise RuntimeError(
                'OracleSelection knows no ground truth: it works inside of CoarseToFine, on images that come with '
                'their masks'
            )
        if len(self.truth.labels) != len(candidates) or self.truth.num_slots != candidates.shape[1]:
            raise RuntimeError(
                f'OracleSelection: the ground truth is of {len(self.truth.labels)} images with {self.truth.num_slots} '
                f'class(es), the candidates of {len(candidates)} with {candidates.shape[1]} slot(s); it does not work '
                'inside of an ROIRefiner or with an object splitter'
            )
        with torch.autocast(candidates.device.type, enabled=False):
            return binary_iou(candidates.float(), self.truth)
