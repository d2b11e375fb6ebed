"""TransUNetHead: the cascaded upsampling decoder of TransUNet."""

from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from ...registry import MODELS


class UpBlock(nn.Module):
    """Doubles the size, joins a skip and convolves twice.

    Args:
        in_channels (int): Channels of the feature map that is doubled.
        skip_channels (int): Channels of the skip; 0 where there is none.
        out_channels (int): Channels of the result.
        norm_cfg (dict): The norm of the convolutions.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, norm_cfg: dict):
        super().__init__()
        self.upsample = nn.UpsamplingBilinear2d(scale_factor=2)
        self.conv1 = ConvModule(in_channels + skip_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg)
        self.conv2 = ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """(N, C_in, h, w) and (N, C_skip, 2h, 2w) to (N, C_out, 2h, 2w)."""
        x = self.upsample(x)
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


@MODELS.register_module()
class TransUNetHead(BaseDecodeHead):
    """Doubles the transformer's feature map four times, joining a skip each time while there are any.

    Source: Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", 2021. The
    defaults are those for R50-ViT-B/16 with three skips.

    Args:
        in_channels (tuple[int, ...]): Channels of the feature maps that are used, finest first: the skips, then the
            transformer's result.
        in_index (tuple[int, ...]): Which of the backbone's outputs these are. Fewer skips: `(1, 2, 3)` and their
            channels.
        stem_channels (int): Channels that the transformer's result is brought to first.
        decoder_channels (tuple[int, ...]): Channels after each doubling; four of them reach the input's size, and with
            fewer the logits are as much smaller.
        norm_cfg (dict, optional): The norm of the convolutions; `dict(type='SyncBN')` for several GPUs. Defaults to
            `dict(type='BN')`.
        **kwargs: What `BaseDecodeHead` takes: ``num_classes`` (background included), ``loss_decode``, ...

    Raises:
        ValueError: If ``in_channels`` and ``in_index`` differ in length, or there are more skips than doublings.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...] = (64, 256, 512, 768),
        in_index: tuple[int, ...] = (0, 1, 2, 3),
        stem_channels: int = 512,
        decoder_channels: tuple[int, ...] = (256, 128, 64, 16),
        norm_cfg: dict | None = None,
        **kwargs,
    ):
        if len(in_channels) != len(in_index):
            raise ValueError(
                f'TransUNetHead: in_channels {in_channels} and in_index {in_index} differ in length; give one entry '
                'for each feature map'
            )
        if len(in_channels) - 1 > len(decoder_channels):
            raise ValueError(
                f'TransUNetHead: {len(in_channels) - 1} skips, expected at most one for each of the '
                f'{len(decoder_channels)} decoder_channels {decoder_channels}; shorten in_channels and in_index'
            )
        norm_cfg = norm_cfg or dict(type='BN')
        # mmseg advises against two output channels for two classes by a warning unless they are asked for.
        kwargs.setdefault('out_channels', kwargs.get('num_classes'))
        kwargs.setdefault('dropout_ratio', 0.0)
        kwargs.setdefault('init_cfg', None)
        super().__init__(
            in_channels,
            decoder_channels[-1],
            in_index=in_index,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        *skip_channels, hidden_size = in_channels
        self.stem = ConvModule(hidden_size, stem_channels, 3, padding=1, norm_cfg=norm_cfg)
        self.blocks = nn.ModuleList()
        channels = stem_channels
        for index, out_channels in enumerate(decoder_channels):
            skip = skip_channels[-1 - index] if index < len(skip_channels) else 0
            self.blocks.append(UpBlock(channels, skip, out_channels, norm_cfg))
            channels = out_channels
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 3, padding=1)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Decode the backbone's feature maps.

        Args:
            inputs (tuple[Tensor, ...]): (N, C_i, H_i, W_i), finest first.

        Returns:
            Tensor: (N, num_classes, H, W) softmax logits, background first.
        """
        *skips, x = self._transform_inputs(inputs)
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, skips.pop() if skips else None)
        return self.cls_seg(x)
