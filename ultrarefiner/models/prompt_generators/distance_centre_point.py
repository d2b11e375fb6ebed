"""DistanceCentrePoint: a point deep inside the mask."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .moments import centroid
from .validity import check_power, check_threshold, soft_mask, weights_or_uniform


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
        # The largest depth only keeps the power in range; it cancels in the centroid.
        largest = depth.detach().amax(dim=(-2, -1), keepdim=True)
        weights = (depth / torch.where(valid[..., None, None], largest, 1)) ** self.power
        soft = centroid(weights_or_uniform(weights, valid))
        hard = torch.where(valid[..., None], _deepest(depth.detach()), 0.5)
        inside = _at(probability.detach(), soft.detach()) > self.threshold
        points = torch.where((inside | ~valid)[..., None], soft, hard + (soft - soft.detach()))[:, :, None]
        labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
        return Prompts(points=points, point_labels=labels, valid=valid)


def soft_distance(mask: Tensor) -> Tensor:
    """The sum of the erosions of a soft mask by squares of growing radius.

    Args:
        mask (Tensor): (N, K, H, W) in [0, 1].

    Returns:
        Tensor: (N, K, H, W), in steps of ``max(H, W) // 64`` pixels (1 pixel below 128).
    """
    step = max(1, max(mask.shape[-2:]) // 64)
    total = level = mask
    for _ in range(min(mask.shape[-2:]) // (2 * step)):
        level = -F.max_pool2d(-F.pad(level, (step,) * 4), kernel_size=2 * step + 1, stride=1)
        total = total + level
    return total


def _deepest(depth: Tensor) -> Tensor:
    """The centre (N, K, 2), normalised (x, y), of the pixel with the largest value of (N, K, H, W)."""
    height, width = depth.shape[-2:]
    index = depth.flatten(2).argmax(dim=-1)
    x = (index % width + 0.5) / width
    y = (index.div(width, rounding_mode='floor') + 0.5) / height
    return torch.stack([x, y], dim=-1).to(depth.dtype)


def _at(values: Tensor, points: Tensor) -> Tensor:
    """The values (N, K) of (N, K, H, W) at the pixels that hold the points (N, K, 2), normalised (x, y)."""
    height, width = values.shape[-2:]
    column = (points[..., 0] * width).long().clamp(0, width - 1)
    row = (points[..., 1] * height).long().clamp(0, height - 1)
    return values.flatten(2).gather(-1, (row * width + column)[..., None])[..., 0]
