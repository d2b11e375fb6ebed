"""LogitMaskPrompt: the coarse logits as they are."""

import torch
from torch import Tensor

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .validity import check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class LogitMaskPrompt(BasePromptGenerator):
    """The true logits, clamped to [-limit, limit]: what SAM's own low-resolution masks are.

    Unlike `MaskPrompt` it keeps doubt as doubt: p = 0.9 stays 2.2. A pixel beyond the limit gets no gradient. The mask
    stays at the coarse resolution; a refiner resizes it to its own mask size.

    Args:
        limit (float): Largest absolute value. Defaults to 20.0.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If ``limit`` or ``threshold`` is out of range.
    """

    produces = frozenset({'masks'})

    def __init__(self, limit: float = 20.0, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if not limit > 0:
            raise ValueError(f'LogitMaskPrompt: limit is {limit}, expected a positive number')
        self.limit = limit
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one mask a slot, (N, K, H, W) in [-limit, limit]."""
        _, valid = soft_mask(coarse, self.threshold)
        dtype = torch.promote_types(coarse.logits.dtype, torch.float32)
        return Prompts(masks=coarse.logits.to(dtype).clamp(-self.limit, self.limit), valid=valid)
