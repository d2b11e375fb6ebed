"""MaskPrompt: the probabilities, mapped linearly to the range of logits."""

import torch.nn.functional as F
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .validity import check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class MaskPrompt(BasePromptGenerator):
    """``(2 p - 1) * scale`` (the method, section 2.3).

    The mask stays at the coarse resolution unless ``size`` is given: a refiner resizes it to its own mask size (256 for
    SAM), which the generator need not know. The map is linear and no true logit: p = 0.9 becomes 8, its logit is 2.2
    (`LogitMaskPrompt`).

    Args:
        scale (float): The value that stands for certainty. Defaults to 10.0.
        size (tuple[int, int], optional): (h, w) in pixels, covering the whole image; resized bilinearly with
            antialiasing. Defaults to the coarse resolution.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``scale`` or ``threshold`` is out of range.
    """

    produces = frozenset({'masks'})

    def __init__(
        self,
        scale: float = 10.0,
        size: tuple[int, int] | None = None,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if not scale > 0:
            raise ValueError(f'MaskPrompt: scale is {scale}, expected a positive number')
        self.scale = scale
        self.size = None if size is None else tuple(size)
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one mask a slot, (N, K, h, w) in [-scale, scale]."""
        probability, valid = soft_mask(coarse, self.threshold)
        masks = (2 * probability - 1) * self.scale
        if self.size is not None and self.size != tuple(masks.shape[-2:]):
            masks = F.interpolate(masks, size=self.size, mode='bilinear', align_corners=False, antialias=True)
        return Prompts(masks=masks, valid=valid)
