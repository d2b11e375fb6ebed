"""SoftmaxSelection: the candidates mixed by their predicted IoU."""

import torch
from torch import Tensor

from ...interfaces import BaseCandidateSelection
from ...registry import CANDIDATE_SELECTIONS


@CANDIDATE_SELECTIONS.register_module()
class SoftmaxSelection(BaseCandidateSelection):
    """Mixes the candidates' logits with the weights ``softmax(quality / temperature)``.

    Every candidate gets gradient, and so does the predicted IoU, by the mask's loss alone.

    Args:
        temperature (float): Positive; the smaller, the nearer to `ArgmaxSelection`. Defaults to 0.1.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """

    reads_quality = True

    def __init__(self, temperature: float = 0.1):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'SoftmaxSelection: temperature is {temperature}, expected a positive number')
        self.temperature = temperature

    def forward(self, candidates: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Mix.

        Args:
            candidates (Tensor): (B, M, h, w) logits.
            quality (Tensor): (B, M) predicted IoU.

        Returns:
            tuple[Tensor, Tensor]: The mask logits (B, h, w) and the same mixture of the predicted IoU (B, ).
        """
        weight = (quality / self.temperature).softmax(dim=1)
        return torch.einsum('bm,bmhw->bhw', weight, candidates), (weight * quality).sum(dim=1)
