"""ThresholdBox: the tight box of the binarised mask."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .validity import boxes_or_full, check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class ThresholdBox(BasePromptGenerator):
    """The extremes of the projections of ``p > threshold`` (the method, section 2.2). Not differentiable.

    The box lies at the outer edges of the extreme pixels: ``(x_min / W, y_min / H, (x_max + 1) / W, (y_max + 1) / H)``.

    Args:
        threshold (float): A pixel belongs to the mask where its probability exceeds it; a slot is valid where the mask
            has a pixel. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``threshold`` is out of range.
    """

    produces = frozenset({'boxes'})
    differentiable = False
    background_bound = 0.0

    def __init__(self, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one box a slot; the whole image where there is nothing to refine."""
        probability, valid = soft_mask(coarse, self.threshold)
        mask = probability.detach() > self.threshold
        x0, x1 = _extent(mask.any(dim=-2), probability.dtype)
        y0, y1 = _extent(mask.any(dim=-1), probability.dtype)
        return Prompts(boxes=boxes_or_full(torch.stack([x0, y0, x1, y1], dim=-1), valid), valid=valid)


def _extent(projection: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The normalised outer edges, (N, K) each, of the True pixels of a projection (N, K, L)."""
    length = projection.shape[-1]
    counted = projection.to(torch.uint8)
    first = counted.argmax(dim=-1)
    behind_last = length - counted.flip(-1).argmax(dim=-1)
    return first.to(dtype) / length, behind_last.to(dtype) / length
