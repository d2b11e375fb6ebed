"""SoftArgmaxPoint: the expected position of the object."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .moments import centroid
from .validity import check_power, check_threshold, soft_mask, weights_or_uniform


@PROMPT_GENERATORS.register_module()
class SoftArgmaxPoint(BasePromptGenerator):
    """One object point a slot: the centroid of the probabilities, ``sum(p^power * x) / sum(p^power)``.

    With ``power=1`` it is the method's soft-argmax (section 2.1). A background probability pulls that point towards
    the centre of the image, the more the smaller the object: with p = 0.01 everywhere outside, an object of 1 % of the
    image is pulled half of the way, and with ``power=2`` 1 % of it. ``background_bound`` follows from the power: 0.08
    at 1, 0.001 at 2. The centroid of a crescent, a ring or two lesions can lie outside of them; the point of
    `DistanceCentrePoint` cannot.

    Args:
        power (float): At least 1. Defaults to 1.0.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``power`` or ``threshold`` is out of range.
    """

    produces = frozenset({'points'})

    def __init__(self, power: float = 1.0, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.power = check_power(self, power)
        self.threshold = check_threshold(self, threshold)
        # An object of 5 % of the image against 19 times its area of background, half an image away from its centre.
        pull = 19 * 0.01**power
        self.background_bound = 0.5 * pull / (1 + pull)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one point a slot; (0.5, 0.5) where there is nothing to refine."""
        probability, valid = soft_mask(coarse, self.threshold)
        points = centroid(weights_or_uniform(probability**self.power, valid))[:, :, None]
        labels = torch.ones(points.shape[:3], dtype=torch.long, device=points.device)
        return Prompts(points=points, point_labels=labels, valid=valid)
