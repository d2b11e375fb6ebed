"""LearnedGate: a small network learns where to trust the refined mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...interfaces import BaseGate
from ...registry import GATES
from ...utils.resize_logits import resize_logits


@GATES.register_module()
class LearnedGate(BaseGate):
    """Two 3x3 convolutions and a 1x1 on the coarse and the refined probability and the coarse uncertainty.

    The input of the network is ``[c, r, 1 - |2c - 1|]``, each in [0, 1]. It starts nearly closed, so that training
    begins near the coarse mask. Every slot passes it alone, without statistics over images; with 32 channels it has
    10,177 weights.

    The maps are resized to one size for the network, and the gate back: masks are trained at one size and predicted at
    that of each image, and what three pixels mean must not change with it.

    In a config::

        gate=dict(type='LearnedGate', size=(192, 192))

    Args:
        channels (int): Width. Defaults to 32.
        bias (float): Where the last bias starts; the gate starts near ``sigmoid(bias)``. Defaults to -2.0.
        size (tuple[int, int]): (h, w) in pixels at which the network sees the maps. Defaults to (256, 256).
    """

    def __init__(self, channels: int = 32, bias: float = -2.0, size: tuple[int, int] = (256, 256)):
        super().__init__()
        self.size = tuple(size)
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 1),
        )
        nn.init.constant_(self.layers[-1].bias, bias)

    def forward(self, coarse: Tensor, refined: Tensor) -> Tensor:
        """Make the gate, (N, K, H, W) in [0, 1], from logits (N, K, H, W)."""
        maps = torch.stack([_probabilities(coarse), _probabilities(refined)], dim=2).flatten(0, 1)  # (N K, 2, H, W)
        maps = resize_logits(maps, self.size)
        uncertainty = 1 - (2 * maps[:, :1] - 1).abs()
        logits = self.layers(torch.cat([maps, uncertainty], dim=1)).to(maps.dtype)
        return resize_logits(logits, coarse.shape[-2:]).sigmoid().view_as(coarse)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()
