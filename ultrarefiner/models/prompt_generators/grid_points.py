"""GridPoints: several points spread over the mask."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .moments import centroid
from .projections import coverage, soft_quantile
from .soft_distance import deepest_pixel, soft_distance, soft_where, value_at
from .validity import check_threshold, soft_mask, weights_or_uniform

# A cell with less than this part of an even share of the weight has no point.
SLIVER = 0.05


@PROMPT_GENERATORS.register_module()
class GridPoints(BasePromptGenerator):
    """``rows * columns`` object points a slot that lie inside the mask and spread over it.

    The weights ``relu((p - threshold) / (1 - threshold))`` are cut into columns of equal weight, and into rows of equal
    weight. Each cell of this grid gets a point: the centroid of its weights. Where that is no pixel of the mask (a
    crescent), the point is the pixel of the cell that lies deepest in the mask (see `soft_distance`), and the gradient
    is still the centroid's (straight-through). A cell with less than 5 % of an even share of the weight gets a
    padding point (label -1); a mask of fewer pixels than cells gets the same pixel more than once.

    Nothing is chosen among equals, unlike in farthest-point sampling: in a convex mask the points follow it smoothly.

    Args:
        rows (int): At least 1. Defaults to 2.
        columns (int): At least 1. Defaults to 2.
        threshold (float): A pixel belongs to the mask where its probability exceeds it; a slot is valid where the mask
            has a pixel. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    produces = frozenset({'points'})
    background_bound = 0.0

    def __init__(self, rows: int = 2, columns: int = 2, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if min(rows, columns) < 1:
            raise ValueError(f'GridPoints: rows and columns are {rows} and {columns}, expected at least 1 each')
        self.rows = rows
        self.columns = columns
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make P = rows * columns points a slot, row by row; padding (label -1) at (0.5, 0.5)."""
        probability, valid = soft_mask(coarse, self.threshold)
        weights = ((probability - self.threshold) / (1 - self.threshold)).relu()
        depth = soft_distance(weights.detach())
        whole = weights_or_uniform(weights, valid)
        least = SLIVER / (self.rows * self.columns) * weights.detach().sum(dim=(-2, -1))
        points, found = [], []
        for row in _bands(whole.sum(dim=-1), self.rows):
            for column in _bands(whole.sum(dim=-2), self.columns):
                share = row[..., :, None] * column[..., None, :]  # (N, K, H, W)
                cell = weights * share
                has_weight = cell.detach().sum(dim=(-2, -1)) > least
                soft = centroid(weights_or_uniform(cell, has_weight))
                inside = value_at(probability, soft) > self.threshold
                points.append(soft_where(inside | ~has_weight, soft, deepest_pixel(depth * share)))
                found.append(has_weight)
        labels = torch.where(torch.stack(found, dim=-1), 1, -1)
        return Prompts(points=torch.stack(points, dim=2), point_labels=labels, valid=valid)


def _bands(profile: Tensor, count: int) -> list[Tensor]:
    """What of each pixel lies in each of ``count`` parts (N, K, L) of equal weight of a profile (N, K, L)."""
    nowhere = torch.zeros_like(profile[..., 0])
    edges = [nowhere, *(soft_quantile(profile, index / count) for index in range(1, count)), nowhere + 1]
    return [coverage(low, high, profile.shape[-1]) for low, high in zip(edges, edges[1:])]
