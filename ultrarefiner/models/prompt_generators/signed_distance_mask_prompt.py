"""SignedDistanceMaskPrompt: how deep inside or far outside each pixel lies."""

import math

from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .soft_distance import sum_of_erosions
from .validity import check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class SignedDistanceMaskPrompt(BasePromptGenerator):
    """The signed distance to the mask's border, positive inside, divided by ``temperature``.

    The metric is the chessboard distance on the coarse grid from a pixel's centre to the border, as a fraction of the
    longer side: for a binary mask exactly, in steps of ``max(H, W) // 256`` pixels (1 below 512). For a soft one it is
    the sum of the grey-value erosions of ``relu((p - threshold) / (1 - threshold))`` minus that of ``relu((threshold -
    p) / threshold)``, so the sign is that of ``p - threshold`` in every pixel, and an uncertain mask has
    proportionally smaller values. The edge of the image is no border. Gradient flows; a pixel beyond the limit gets
    none.

    Args:
        temperature (float): The distance that makes a logit of 1, as a fraction of the longer side. Defaults to 0.01.
        limit (float): Largest absolute logit. Defaults to 10.0.
        threshold (float): Where the border is; a slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    produces = frozenset({'masks'})

    def __init__(
        self,
        temperature: float = 0.01,
        limit: float = 10.0,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        for name, value in (('temperature', temperature), ('limit', limit)):
            if not value > 0:
                raise ValueError(f'SignedDistanceMaskPrompt: {name} is {value}, expected a positive number')
        self.temperature = temperature
        self.limit = limit
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one mask a slot, (N, K, H, W) in [-limit, limit]."""
        probability, valid = soft_mask(coarse, self.threshold)
        inside = self._distance(((probability - self.threshold) / (1 - self.threshold)).relu())
        outside = self._distance(((self.threshold - probability) / self.threshold).relu())
        masks = ((inside - outside) / self.temperature).clamp(-self.limit, self.limit)
        return Prompts(masks=masks, valid=valid)

    def _distance(self, mask: Tensor) -> Tensor:
        """The distance from each pixel's centre to where the mask ends, as a fraction of the longer side."""
        side = max(mask.shape[-2:])
        step = max(1, side // 256)
        count = math.ceil(self.limit * self.temperature * side / step)
        # From centre to border, not to the next centre behind it: half a step less.
        return (sum_of_erosions(mask, step, count, border=1.0) - mask / 2) * step / side
