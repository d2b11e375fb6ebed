"""DistanceCentrePoint: a point deep inside the mask."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .soft_distance import centre_of_depth, soft_distance
from .validity import check_power, check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class DistanceCentrePoint(BasePromptGenerator):
    """One object point a slot that lies inside the mask: the centre of the soft distance to the mask's border.

    The soft distance is the sum of the eroded masks (grey-value erosions by growing squares); for a binary mask this is
    the chessboard distance to the nearest background pixel, and the outside of the image counts as background. The
    point is the centroid of the distance raised to ``power``. Where that is no pixel of the mask (a crescent, a ring,
    two lesions), the point is the deepest pixel, and the gradient is still the centroid's (straight-through).

    Args:
        power (float): How strongly the deepest part prevails, at least 1. Defaults to 4.0.
        threshold (float): A pixel belongs to the mask where its probability exceeds it; a slot is valid where the mask
            has a pixel. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``power`` or ``threshold`` is out of range.
    """

    produces = frozenset({'points'})
    background_bound = 0.0

    def __init__(self, power: float = 4.0, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.power = check_power(self, power)
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one point a slot; (0.5, 0.5) where there is nothing to refine."""
        probability, valid = soft_mask(coarse, self.threshold)
        depth = soft_distance(((probability - self.threshold) / (1 - self.threshold)).relu())
        points = centre_of_depth(depth, probability, valid, self.threshold, self.power)[:, :, None]
        labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
        return Prompts(points=points, point_labels=labels, valid=valid)
