"""OutsidePoint: a background point that is no pixel of the mask."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from ...utils.pixel_centres import pixel_centres
from .box_generator import build_box_generator
from .moments import centroid
from .projections import coverage
from .soft_distance import deepest_pixel, powered, soft_distance, soft_where, value_at
from .validity import check_floor, check_power, check_threshold, soft_mask, weights_or_uniform


@PROMPT_GENERATORS.register_module()
class OutsidePoint(BasePromptGenerator):
    """One background point a slot, verified outside of the mask: deep in what the mask leaves free of a box around it.

    The free part is ``(threshold - p) / (threshold - floor)``, clamped to [0, 1], inside the box with its sides moved
    outwards; its soft distance is the depth (see `soft_distance`; the edges of the box count as a border). Around a
    symmetric object the centroid of the depth is the object's own centre, the weakness of `NegativePoint`, so one
    corner of the box is chosen first: the one with the most free space, times the room between the box's centre and
    the edges of the image on that side, which decides where the free space is alike. The point is the centroid of
    ``(depth * closeness)^power``, where closeness falls bilinearly from 1 at this corner to 0 at the opposite sides of
    the box. Where that is a pixel of the mask after all, the point is the deepest pixel of the free part, and the
    gradient is still the centroid's (straight-through).

    Gradient flows through the probabilities between ``floor`` and ``threshold``, which is where the mask's border is,
    and through a differentiable box.

    Args:
        box (dict, optional): Config of the prompt generator that makes the box. Defaults to `ThresholdBox`.
        expand (float): How far each side moves outwards, as a fraction of the box's extent. Defaults to 0.2.
        power (float): How strongly the deepest part prevails, at least 1. Defaults to 4.0.
        floor (float): Probability up to which a pixel is entirely free, in [0, threshold). Defaults to 0.1.
        threshold (float): A pixel belongs to the mask where its probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``box`` does not make boxes alone, or another argument is out of range.
    """

    produces = frozenset({'points'})

    def __init__(
        self,
        box: dict | None = None,
        expand: float = 0.2,
        power: float = 4.0,
        floor: float = 0.1,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.threshold = check_threshold(self, threshold)
        self.floor = check_floor(self, floor, threshold)
        self.power = check_power(self, power)
        if not expand >= 0:
            raise ValueError(f'OutsidePoint: expand is {expand}, expected a fraction of the box that is not negative')
        self.expand = expand
        self.box = build_box_generator(self, 'box', box or dict(type='ThresholdBox', threshold=threshold))
        self.background_bound = self.box.background_bound

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one point a slot; padding (label -1) at (0.5, 0.5) where the box holds no background."""
        probability, valid = soft_mask(coarse, self.threshold)
        height, width = probability.shape[-2:]
        low, high = self._expanded(self.box(coarse, images).boxes)
        free = ((self.threshold - probability) / (self.threshold - self.floor)).clamp(0, 1)
        free = free * coverage(low[..., 1], high[..., 1], height)[..., :, None]
        free = free * coverage(low[..., 0], high[..., 0], width)[..., None, :]
        depth = soft_distance(free)
        usable = valid & (depth.detach().flatten(2).amax(dim=-1) > 0)

        weights = powered(depth, self.power)
        across = self._closeness(low[..., :1], high[..., :1], pixel_centres(width, depth))
        down = self._closeness(low[..., 1:], high[..., 1:], pixel_centres(height, depth))
        right, bottom = _freest_corner(weights.detach(), across.detach(), down.detach(), (low + high).detach() / 2)
        weights = weights * torch.where(right, across[:, :, 1], across[:, :, 0])[..., None, :]
        weights = weights * torch.where(bottom, down[:, :, 1], down[:, :, 0])[..., :, None]
        soft = centroid(weights_or_uniform(weights, usable))
        outside = value_at(probability, soft) < self.threshold
        points = soft_where(outside | ~usable, soft, deepest_pixel(depth))[:, :, None]
        return Prompts(points=points, point_labels=usable.long()[..., None] - 1, valid=valid)

    def _expanded(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The lower and the upper corner (N, K, 2) of the expanded boxes, normalised (x, y), clamped to the image."""
        low, high = boxes[..., :2], boxes[..., 2:]
        margin = self.expand * (high - low)
        return (low - margin).clamp(0, 1), (high + margin).clamp(0, 1)

    def _closeness(self, low: Tensor, high: Tensor, centres: Tensor) -> Tensor:
        """How close pixels (L, ) are to the lower and the upper edge (N, K, 1), powered: (N, K, 2, L) in [0, 1]."""
        share = ((centres - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
        return torch.stack([1 - share, share], dim=2) ** self.power


def _freest_corner(weights: Tensor, across: Tensor, down: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the corner with the most free space is a right one, and a lower one: bool (N, K, 1) each.

    Args:
        weights (Tensor): (N, K, H, W).
        across (Tensor): (N, K, 2, W), the closeness to the left and to the right edge.
        down (Tensor): (N, K, 2, H), the closeness to the upper and to the lower edge.
        centre (Tensor): (N, K, 2), normalised (x, y), of the box.
    """
    rows = (weights[:, :, None] * across[..., None, :]).sum(dim=-1)  # (N, K, 2, H): left, right
    free = (down[:, :, :, None] * rows[:, :, None]).sum(dim=-1)  # (N, K, 2, 2): upper, lower by left, right
    room = torch.stack([centre, 1 - centre], dim=-1)  # (N, K, 2, 2): x, y by lower, upper side
    best = (free * room[:, :, 1, :, None] * room[:, :, 0, None, :]).flatten(2).argmax(dim=-1, keepdim=True)
    return best % 2 == 1, best > 1
