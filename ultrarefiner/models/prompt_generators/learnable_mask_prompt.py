"""LearnableMaskPrompt: the coarse logits, with a scale and a bias that are trained."""

import math

import torch
from torch import Tensor, nn

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .validity import check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class LearnableMaskPrompt(BasePromptGenerator):
    """``exp(log_scale) * clamp(logits, -limit, limit) + bias``: a calibration (Platt scaling) learned with the refiner.

    The scale stays positive, so inside stays inside of the threshold that the bias sets. The loss of the refined mask
    reaches both weights through the refiner's mask input, and the coarse logits with the gradient times the scale; a
    pixel beyond the limit gives gradient to the weights only. Both weights take part in every batch, so that
    distributed training never waits for them. Weight decay pulls the scale towards 1 and the bias
    towards 0.

    Args:
        scale (float): Initial scale, positive. Defaults to 1.0.
        bias (float): Initial bias. Defaults to 0.0.
        limit (float): Largest absolute value of a logit before the scale. Defaults to 20.0.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Attributes:
        log_scale (nn.Parameter): Scalar.
        bias (nn.Parameter): Scalar.

    Raises:
        ValueError: If ``scale``, ``limit`` or ``threshold`` is out of range.
    """

    produces = frozenset({'masks'})

    def __init__(
        self,
        scale: float = 1.0,
        bias: float = 0.0,
        limit: float = 20.0,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        for name, value in (('scale', scale), ('limit', limit)):
            if not value > 0:
                raise ValueError(f'LearnableMaskPrompt: {name} is {value}, expected a positive number')
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.limit = limit
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one mask a slot, (N, K, H, W)."""
        _, valid = soft_mask(coarse, self.threshold)
        dtype = torch.promote_types(coarse.logits.dtype, torch.float32)
        logits = coarse.logits.to(dtype).clamp(-self.limit, self.limit)
        return Prompts(masks=self.log_scale.exp() * logits + self.bias, valid=valid)
