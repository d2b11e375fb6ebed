"""StraightThroughBox: the tight box, with the gradient of a soft one."""

from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .box_generator import build_box_generator
from .threshold_box import ThresholdBox


@PROMPT_GENERATORS.register_module()
class StraightThroughBox(BasePromptGenerator):
    """The value of `ThresholdBox` and the gradient of a differentiable box: ``hard + soft - stopgrad(soft)``.

    Args:
        soft (dict, optional): Config of the differentiable generator of boxes. Defaults to `MomentBox`.
        threshold (float): Of `ThresholdBox`. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``soft`` does not make boxes alone, or is not differentiable.
    """

    produces = frozenset({'boxes'})
    background_bound = 0.0

    def __init__(self, soft: dict | None = None, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.hard = ThresholdBox(threshold)
        self.soft = build_box_generator(self, 'soft', soft or dict(type='MomentBox'))
        if not self.soft.differentiable:
            raise ValueError(
                f'StraightThroughBox: soft is a {type(self.soft).__name__}, which has no gradient; expected a '
                'differentiable generator of boxes, such as MomentBox'
            )

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one box a slot; the whole image, with no gradient, where there is nothing to refine."""
        hard = self.hard(coarse, images)
        soft = self.soft(coarse, images).boxes
        return Prompts(boxes=hard.boxes + (soft - soft.detach()), valid=hard.valid)
