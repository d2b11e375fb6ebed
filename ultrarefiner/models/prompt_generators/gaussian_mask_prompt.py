"""GaussianMaskPrompt: the blurred probabilities, mapped linearly to the range of logits."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from ...interfaces import BasePromptGenerator
from ...registry import PROMPT_GENERATORS
from ...structures import Prompts, SegOutput
from .validity import check_threshold, soft_mask


@PROMPT_GENERATORS.register_module()
class GaussianMaskPrompt(BasePromptGenerator):
    """``(2 blur(p) - 1) * scale``: `MaskPrompt` of the mask blurred by a Gaussian, which softens a border in doubt.

    The width is a fraction of the image along each axis, so that the prompt is the same at any coarse resolution. The
    border pixels go on outside of the image, so that an object at the border is not darkened. The kernel ends at three
    standard deviations.

    Args:
        sigma (float): Standard deviation, as a fraction of the image's width and height. Defaults to 0.01, the 11
            pixels of 1024 of the method's authors.
        scale (float): The value that stands for certainty. Defaults to 10.0.
        threshold (float): A slot is valid where some probability exceeds it. Defaults to 0.5.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    produces = frozenset({'masks'})

    def __init__(self, sigma: float = 0.01, scale: float = 10.0, threshold: float = 0.5, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        for name, value in (('sigma', sigma), ('scale', scale)):
            if not value > 0:
                raise ValueError(f'GaussianMaskPrompt: {name} is {value}, expected a positive number')
        self.sigma = sigma
        self.scale = scale
        self.threshold = check_threshold(self, threshold)

    def forward(self, coarse: SegOutput, images: list[Tensor]) -> Prompts:
        """Make one mask a slot, (N, K, H, W) in [-scale, scale]."""
        probability, valid = soft_mask(coarse, self.threshold)
        sigmas = [self.sigma * length for length in probability.shape[-2:]]
        y, x = (math.ceil(3 * sigma) for sigma in sigmas)
        padded = F.pad(probability, (x, x, y, y), mode='replicate')
        # A convolution under autocast would run in half precision.
        with torch.autocast(padded.device.type, enabled=False):
            blurred = gaussian_blur(padded, [2 * x + 1, 2 * y + 1], sigmas[::-1])[..., y:-y, x:-x]
        return Prompts(masks=(2 * blurred - 1) * self.scale, valid=valid)
