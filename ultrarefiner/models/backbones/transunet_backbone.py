"""TransUNetBackbone: the hybrid encoder of TransUNet, R50-ViT-B/16 by default."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule, PretrainedInit
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from ...registry import MODELS
from .resnet_v2 import ResNetV2
from .transunet_npz import load_transunet_npz
from .vision_transformer_blocks import TransformerBlock

STRIDE = 16


@MODELS.register_module()
class TransUNetBackbone(BaseModule):
    """A ResNetV2 whose last feature map goes, one token a position, through a vision transformer.

    Source: Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", 2021. The
    defaults are R50-ViT-B/16 at 224 pixels.

    ``init_cfg=dict(type='Pretrained', checkpoint='R50+ViT-B_16.npz')`` loads Google's weights: a checkpoint that ends
    in ``.npz`` is read as published, and its position embedding interpolated when the grid differs.

    Args:
        img_size (int | tuple[int, int]): (height, width) in pixels of the input, multiples of 16; the position
            embedding is made for it.
        block_units (tuple[int, int, int]): Bottlenecks in each stage of the ResNet.
        width (int): Channels of the ResNet's root; its stages have 4, 8 and 16 times as many.
        norm_groups (int): Groups of the ResNet's group norms, a divisor of ``width``.
        hidden_size (int): Channels of a token.
        num_layers (int): Transformer blocks.
        num_heads (int): Attention heads of a block, a divisor of ``hidden_size``.
        mlp_size (int): Channels between the two layers of a block's perceptron.
        dropout (float): Probability, on the embedded tokens and in the perceptrons.
        init_cfg (dict | list[dict], optional): mmengine's. None leaves random weights.

    Raises:
        ValueError: If ``img_size`` is no multiple of 16, or ``width`` or ``hidden_size`` cannot be divided as asked.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        block_units: tuple[int, int, int] = (3, 4, 9),
        width: int = 64,
        norm_groups: int = 32,
        hidden_size: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_size: int = 3072,
        dropout: float = 0.1,
        init_cfg: dict | list | None = None,
    ):
        super().__init__(init_cfg)
        self.img_size = tuple(to_2tuple(img_size))
        self._check_divisible('img_size', min(self.img_size), STRIDE)
        self._check_divisible('img_size', max(self.img_size), STRIDE)
        self._check_divisible('width', width, norm_groups, 'norm_groups')
        self._check_divisible('hidden_size', hidden_size, num_heads, 'num_heads')
        self.grid_size = tuple(length // STRIDE for length in self.img_size)
        self.resnet = ResNetV2(block_units, width, norm_groups)
        self.patch_embedding = nn.Conv2d(16 * width, hidden_size, 1)
        self.position_embedding = nn.Parameter(torch.zeros(1, self.grid_size[0] * self.grid_size[1], hidden_size))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *(TransformerBlock(hidden_size, num_heads, mlp_size, dropout) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(hidden_size, eps=1e-6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Feature maps of a batch, finest first.

        Args:
            x (Tensor): (N, 3, H, W), or (N, 1, H, W) which is repeated to three channels; (H, W) is ``img_size``.

        Returns:
            tuple[Tensor, ...]: The skips (N, width, H/2, W/2), (N, 4 width, H/4, W/4), (N, 8 width, H/8, W/8), and the
            transformer's result (N, hidden_size, H/16, W/16).

        Raises:
            ValueError: If the input has another size or another number of channels.
        """
        self._check_input(x)
        *skips, last = self.resnet(x.expand(-1, 3, -1, -1))
        tokens = self.patch_embedding(last).flatten(2).transpose(1, 2)
        tokens = self.dropout(tokens + self.position_embedding)
        tokens = self.norm(self.blocks(tokens))
        return *skips, tokens.transpose(1, 2).unflatten(2, self.grid_size)

    def init_weights(self) -> None:
        """Initialise as mmengine does, then read the ``.npz`` files that ``init_cfg`` names under `Pretrained`."""
        configured = self.init_cfg
        parts = [configured] if isinstance(configured, dict) else list(configured or [])
        files = [part['checkpoint'] for part in parts if _names_npz(part)]
        fresh = not self.is_init
        # mmengine's own loader does not know the format, so it gets the rest only.
        self.init_cfg = [part for part in parts if not _names_npz(part)]
        super().init_weights()
        self.init_cfg = configured
        for file in files if fresh else ():
            load_transunet_npz(self, file)

    def _check_input(self, x: Tensor) -> None:
        if tuple(x.shape[-2:]) != self.img_size:
            raise ValueError(
                f'TransUNetBackbone: the input has {tuple(x.shape[-2:])} pixels (height, width), expected img_size='
                f'{self.img_size}, which the position embedding was made for; resize the input, or set img_size in the '
                "backbone's config (Google's weights are interpolated to it)"
            )
        if x.shape[1] not in (1, 3):
            raise ValueError(
                f'TransUNetBackbone: the input has {x.shape[1]} channels, expected 1 (repeated to three) or 3; select '
                'the channels in the data pipeline'
            )

    @staticmethod
    def _check_divisible(name: str, value: int, divisor: int, divisor_name: str | None = None) -> None:
        if value < divisor or value % divisor:
            expected = f'{divisor_name}={divisor}' if divisor_name else str(divisor)
            raise ValueError(f'TransUNetBackbone.{name} is {value}, expected a multiple of {expected}')


def _names_npz(init_cfg: dict) -> bool:
    return init_cfg['type'] in ('Pretrained', PretrainedInit) and str(init_cfg['checkpoint']).endswith('.npz')
