"""ResNetV2: the convolutional part of the hybrid vision transformer R50+ViT (BiT's ResNet without its last stage)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class StdConv2d(nn.Conv2d):
    """A convolution whose kernel is standardised: mean 0 and variance 1 over each output channel's weights.

    Source: Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", 2019.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H', W')."""
        # A layer norm over a kernel is its standardisation (biased variance) in one pass, forward and backward; written
        # with var_mean it takes 8 times as long on a CPU.
        weight = F.layer_norm(self.weight, self.weight.shape[1:], eps=1e-5)
        return self._conv_forward(x, weight, self.bias)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 standardised convolutions with group norm, and a shortcut.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        mid_channels (int): Channels of the 3x3 convolution.
        stride (int): Stride of the 3x3 convolution.
        norm_groups (int): Groups of the group norms.
    """

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int, stride: int, norm_groups: int):
        super().__init__()
        self.conv1 = StdConv2d(in_channels, mid_channels, 1, bias=False)
        self.norm1 = nn.GroupNorm(norm_groups, mid_channels, eps=1e-6)
        self.conv2 = StdConv2d(mid_channels, mid_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(norm_groups, mid_channels, eps=1e-6)
        self.conv3 = StdConv2d(mid_channels, out_channels, 1, bias=False)
        self.norm3 = nn.GroupNorm(norm_groups, out_channels, eps=1e-6)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            # The published weights belong to one group a channel and the default eps here.
            self.shortcut = nn.Sequential(
                StdConv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.GroupNorm(out_channels, out_channels, eps=1e-5),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        return self.relu(y.add_(self.shortcut(x)))


class ResNetV2(nn.Module):
    """Root and three stages of bottlenecks, with feature maps at 1/2, 1/4, 1/8 and 1/16 of the input.

    Args:
        block_units (tuple[int, int, int]): Bottlenecks in each stage; (3, 4, 9) in R50.
        width (int): Channels of the root; the stages have 4, 8 and 16 times as many. 64 in R50.
        norm_groups (int): Groups of the group norms, a divisor of ``width``. 32 in R50.
    """

    def __init__(self, block_units: tuple[int, int, int], width: int, norm_groups: int):
        super().__init__()
        self.root = nn.Sequential(
            StdConv2d(3, width, 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(norm_groups, width, eps=1e-6),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2)
        self.stages = nn.ModuleList()
        in_channels = width
        for stage, units in enumerate(block_units):
            mid_channels = width * 2**stage
            bottlenecks = []
            for unit in range(units):
                stride = 2 if stage > 0 and unit == 0 else 1
                bottlenecks.append(Bottleneck(in_channels, 4 * mid_channels, mid_channels, stride, norm_groups))
                in_channels = 4 * mid_channels
            self.stages.append(nn.Sequential(*bottlenecks))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of an image.

        Args:
            x (Tensor): (N, 3, H, W), H and W multiples of 16.

        Returns:
            tuple[Tensor, ...]: (N, width, H/2, W/2), (N, 4 width, H/4, W/4), (N, 8 width, H/8, W/8) and
            (N, 16 width, H/16, W/16).
        """
        height, width = x.shape[-2:]
        root = self.root(x)
        first = self.stages[0](self.pool(root))
        second = self.stages[1](first)
        third = self.stages[2](second)
        # The pool has no padding, so the first stage is one row and one column short of H/4: the decoder gets it
        # filled up with zeros, the second stage goes on from it as it is and comes out at H/8 exactly.
        missing = (0, width // 4 - first.shape[-1], 0, height // 4 - first.shape[-2])
        return root, F.pad(first, missing), second, third
