"""PointDropout: now and then without some of the points."""

from dataclasses import replace

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput


@PROMPT_GENERATORS.register_module()
class PointDropout(BasePromptGenerator):
    """Turns single points of another generator into padding (label -1) in training; in evaluation it changes nothing.

    Each point of each slot is drawn on its own. A slot that would lose its last point keeps all that it had, so a
    generator of one point a slot is never changed: `RandomPromptSubset` leaves out the points altogether. The draws
    come from torch's generator of the device; the same seed gives the same draws.

    Args:
        generator (dict): Config of the prompt generator, which makes points and maybe more.
        probability (float): Of losing a point, in [0, 1). Defaults to 0.2.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If the generator makes no points, or ``probability`` is out of range.
    """

    def __init__(self, generator: dict, probability: float = 0.2, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.generator = PROMPT_GENERATORS.build(generator)
        self.produces = self.generator.produces
        self.differentiable = self.generator.differentiable
        self.background_bound = self.generator.background_bound
        if 'points' not in self.produces:
            raise ValueError(
                f'PointDropout: generator is a {type(self.generator).__name__}, which produces '
                f'{sorted(self.produces)}; expected a generator of points, such as GridPoints'
            )
        if not 0 <= probability < 1:
            raise ValueError(f'PointDropout: probability is {probability}, expected a number in [0, 1)')
        self.probability = probability

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make the prompts of the generator; in training with some of the points as padding, where they are."""
        prompts = self.generator(coarse, images)
        if not self.training or prompts.points is None:
            return prompts
        labels = prompts.point_labels
        dropped = torch.rand(labels.shape, device=labels.device) < self.probability
        left = torch.where(dropped, -1, labels)
        has_some = (left != -1).any(dim=-1, keepdim=True)
        return replace(prompts, point_labels=torch.where(has_some, left, labels))
