"""DilatedBackbone: a coarse network of one's own, as mmsegmentation builds them."""

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from ultrarefiner.registry import MODELS


@MODELS.register_module()
class DilatedBackbone(BaseModule):
    """Convolutions at half the resolution whose dilation doubles, so that each pixel sees the whole lesion.

    Any head of mmsegmentation goes on top: it reads the feature maps that ``forward`` gives.

    Args:
        in_channels (int): 1 for grey images. Defaults to 1.
        channels (int): Of every feature map. Defaults to 32.
        dilations (tuple[int, ...]): Of the convolutions after the first. Defaults to (1, 2, 4, 8, 16).
        init_cfg (dict, optional): mmengine's.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        norm = dict(type='GN', num_groups=8)
        self.stem = ConvModule(in_channels, channels, 3, stride=2, padding=1, norm_cfg=norm)
        self.layers = ModuleList(
            [ConvModule(channels, channels, 3, padding=d, dilation=d, norm_cfg=norm) for d in dilations]
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The feature maps that a decode head reads, here only the last one, (N, channels, H / 2, W / 2)."""
        features = self.stem(inputs)
        for layer in self.layers:
            features = features + layer(features)
        return (features,)
