"""MomentBox: a box from weighted moments, through which gradient flows."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .moments import mean_and_std
from .validity import boxes_or_full, check_floor, check_power, check_threshold, soft_mask, weights_or_uniform


@PROMPT_GENERATORS.register_module()
class MomentBox(BasePromptGenerator):
    """Centre plus and minus ``k`` standard deviations of the weights ``relu((p - floor) / (1 - floor))^power``.

    ``k = 2`` is exact for a uniform ellipse (half-width a, standard deviation a / 2), ``k = sqrt(3)`` for an upright
    rectangle; at ``k = 2`` the box of a rectangle is 15 % wider than the rectangle.

    A uniform background probability of at most ``floor`` has no weight and moves nothing, exactly. The formula that
    the method's authors use (k = 2.5, the probabilities themselves as weights) has no such floor: the background has a
    small weight but a large area and distance, so a lesion of radius 10 pixels in an image of 224 gets a half-width of
    12.5 pixels on a clean background, 61 at p = 0.001, and 127, which is the whole image, at p = 0.01.

    The box is clamped to the image. An edge that left the image has no gradient until it comes back: moving it further
    changes nothing that the refiner sees, so zero is the true derivative. The other edges keep theirs; where all four
    are outside, only the coarse loss and the other prompts can shrink the mask.

    Args:
        k (float): Half-width in standard deviations. Defaults to 2.0.
        floor (float): Probability below which a pixel has no weight, in [0, threshold). Defaults to 0.1.
        power (float): Of the weights, at least 1. Defaults to 1.0.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    produces = frozenset({'boxes'})
    background_bound = 0.0

    def __init__(
        self,
        k: float = 2.0,
        floor: float = 0.1,
        power: float = 1.0,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.threshold = check_threshold(self, threshold)
        self.power = check_power(self, power)
        if not k > 0:
            raise ValueError(f'MomentBox: k is {k}, expected a positive number of standard deviations')
        self.k = k
        self.floor = check_floor(self, floor, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one box a slot; the whole image where there is nothing to refine."""
        probability, valid = soft_mask(coarse, self.threshold)
        weights = ((probability - self.floor) / (1 - self.floor)).relu() ** self.power
        mean, std = mean_and_std(weights_or_uniform(weights, valid))
        boxes = torch.cat([mean - self.k * std, mean + self.k * std], dim=-1).clamp(0, 1)
        return Prompts(boxes=boxes_or_full(boxes, valid), valid=valid)
