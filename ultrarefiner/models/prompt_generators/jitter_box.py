"""JitterBox: another generator's box, shaken in training."""

from dataclasses import replace

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .box_generator import build_box_generator


@PROMPT_GENERATORS.register_module()
class JitterBox(BasePromptGenerator):
    """Shakes the box of another generator in training, as SAM's training does; in evaluation it changes nothing.

    Each of the four edges moves by Gaussian noise with a standard deviation of ``std`` times the box's extent along
    its axis, at most by ``limit`` (Kirillov et al. 2023, appendix A: 10 %, at most 20 pixels of 1024). The box is
    clamped to the image. The noise has no gradient, so an edge keeps the gradient of the box. It comes from torch's
    generator of the device; the same seed gives the same noise.

    Args:
        box (dict, optional): Config of the prompt generator that makes the box. Defaults to `MomentBox`.
        std (float): A fraction of the box's extent, at least 0. Defaults to 0.1.
        limit (float): Normalised, at least 0. Defaults to 20 / 1024.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``box`` does not make boxes alone, or ``std`` or ``limit`` is negative.
    """

    produces = frozenset({'boxes'})

    def __init__(
        self, box: dict | None = None, std: float = 0.1, limit: float = 20 / 1024, init_cfg: dict | None = None
    ):
        super().__init__(init_cfg)
        for name, value in (('std', std), ('limit', limit)):
            if not value >= 0:
                raise ValueError(f'JitterBox: {name} is {value}, expected a number that is not negative')
        self.std = std
        self.limit = limit
        self.box = build_box_generator(self, 'box', box or dict(type='MomentBox'))
        self.differentiable = self.box.differentiable
        self.background_bound = self.box.background_bound

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one box a slot; the box as it is, with no noise, where there is nothing to refine."""
        prompts = self.box(coarse, images)
        if not self.training:
            return prompts
        boxes = prompts.boxes
        extent = (boxes[..., 2:] - boxes[..., :2]).detach().repeat(1, 1, 2)  # (N, K, 4): width, height, twice
        noise = (torch.randn_like(extent) * self.std * extent).clamp(-self.limit, self.limit)
        x0, y0, x1, y1 = (boxes + noise).clamp(0, 1).unbind(dim=-1)
        # Edges of a very small or heavily shaken box may have passed each other.
        ordered = [torch.minimum(x0, x1), torch.minimum(y0, y1), torch.maximum(x0, x1), torch.maximum(y0, y1)]
        shaken = torch.stack(ordered, dim=-1)
        return replace(prompts, boxes=torch.where(prompts.valid[..., None], shaken, boxes))
