"""SoftExtremesBox: the tight box, averaged over all thresholds."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .projections import running_max
from .validity import boxes_or_full, check_floor, check_threshold, soft_mask, weights_or_uniform


@PROMPT_GENERATORS.register_module()
class SoftExtremesBox(BasePromptGenerator):
    """The mean of the tight boxes of ``p > t``, over all t from ``floor`` to the slot's largest probability.

    Along each axis, with m_i the largest weight ``relu((p - floor) / (1 - floor))`` of column i and M_i the largest of
    m_1 to m_i, the lower edge is the mean of ``1 - M_i / M_last``. Where the mask has one probability inside and at
    most ``floor`` outside, that is the tight box exactly, whatever its shape; at a border that falls off linearly it is
    where the weight is half of the largest. A uniform background probability of at most ``floor`` moves nothing,
    exactly.

    It knows no outliers: a stray pixel of probability p moves an edge by the share ``(p - floor) / (largest - floor)``
    of the way to it (`SoftQuantileBox` does not mind it). The gradient goes to the pixels that set a new maximum on the
    way from the image's border to the object, and to the largest one.

    Args:
        floor (float): Probability below which a pixel has no weight, in [0, threshold). Defaults to 0.1.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    produces = frozenset({'boxes'})
    background_bound = 0.0

    def __init__(self, floor: float = 0.1, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.threshold = check_threshold(self, threshold)
        self.floor = check_floor(self, floor, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one box a slot; the whole image where there is nothing to refine."""
        probability, valid = soft_mask(coarse, self.threshold)
        weights = weights_or_uniform(((probability - self.floor) / (1 - self.floor)).relu(), valid)
        columns, rows = weights.amax(dim=-2), weights.amax(dim=-1)
        x0, x1 = _lower(columns), 1 - _lower(columns.flip(-1))
        y0, y1 = _lower(rows), 1 - _lower(rows.flip(-1))
        return Prompts(boxes=boxes_or_full(torch.stack([x0, y0, x1, y1], dim=-1), valid), valid=valid)


def _lower(profile: Tensor) -> Tensor:
    """The lower edge (N, K), normalised, of a profile (N, K, L)."""
    reached = running_max(profile)
    return 1 - (reached / reached[..., -1:]).mean(dim=-1)
