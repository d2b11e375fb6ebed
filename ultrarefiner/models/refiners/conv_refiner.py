"""ConvRefiner: a small U-Net that looks at image, coarse mask and prompts together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...interfaces import BaseRefiner
from ...registry import MODELS, REFINERS
from ...structures import ImageEmbedding, InputProfile, Prompts, SegOutput
from ...structures.prompts import KINDS
from ...utils.freeze import freeze
from ...utils.resize_logits import resize_logits
from .prompt_maps import MAP_CHANNELS, stage_maps

IMAGE_CHANNELS = 3


@REFINERS.register_module()
class ConvRefiner(BaseRefiner):
    """The baseline that a SAM has to beat: mmseg's U-Net, which adds a residual to the coarse logits.

    It reads the image, the coarse logits and probability, and a map of each prompt kind, all zero for a kind that is
    absent. The layer that makes the residual starts at zero, so an untrained refiner gives the coarse logits exactly.

    Args:
        input_size (tuple[int, int]): (height, width) in pixels that every image is squashed to; multiples of
            ``2 ** (depth - 1)``. Defaults to (256, 256).
        width (int): Channels at full resolution; they double with every halving. Defaults to 16.
        depth (int): Resolutions of the U-Net. Defaults to 5.
        norm_groups (int): Groups of the group normalisation, which looks at each slot alone; a divisor of ``width``.
            Defaults to 8.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If the sizes do not divide.
    """

    accepts = frozenset(KINDS)
    predicts_quality = True

    def __init__(
        self,
        input_size: tuple[int, int] = (256, 256),
        width: int = 16,
        depth: int = 5,
        norm_groups: int = 8,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.input_profile = InputProfile(size=input_size, value_range='unit')
        if depth < 1 or any(length % 2 ** (depth - 1) for length in input_size):
            raise ValueError(
                f'ConvRefiner: input_size is {tuple(input_size)} and depth {depth}, expected sides that are multiples '
                'of 2 ** (depth - 1)'
            )
        if width % norm_groups:
            raise ValueError(f'ConvRefiner: width is {width}, expected a multiple of norm_groups ({norm_groups})')
        self.unet = MODELS.build(
            dict(
                type='mmseg.UNet',
                in_channels=IMAGE_CHANNELS + MAP_CHANNELS,
                base_channels=width,
                num_stages=depth,
                strides=(1,) * depth,
                enc_num_convs=(2,) * depth,
                dec_num_convs=(2,) * (depth - 1),
                downsamples=(True,) * (depth - 1),
                enc_dilations=(1,) * depth,
                dec_dilations=(1,) * (depth - 1),
                norm_cfg=dict(type='GN', num_groups=norm_groups),
                upsample_cfg=dict(type='mmseg.InterpConv'),
            )
        )
        self.residual = nn.Conv2d(width, 1, kernel_size=1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)
        self.quality = nn.Linear(width * 2 ** (depth - 1), 1)

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """Prepare the images; the network looks at them together with the masks.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Pixels (N, 3, h, w) in [0, 1] at ``input_size``.
        """
        return ImageEmbedding(*self.input_profile.prepare(images))

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Add what the network wants changed.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, h, w).
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W) and ``quality`` (N, K).
        """
        slots = coarse.logits.shape[1]
        pixels = embedding.features.repeat_interleave(slots, dim=0)
        maps = stage_maps(coarse.logits, prompts, self.input_profile.size)
        # From the coarsest resolution to the finest.
        features = self.unet(torch.cat([pixels, maps.flatten(0, 1)], dim=1))
        residual = self.residual(features[-1])[:, 0].unflatten(0, (-1, slots))
        quality = self.quality(features[0].mean(dim=(-2, -1)))[:, 0].unflatten(0, (-1, slots))
        return SegOutput(resize_logits(coarse.logits, size) + resize_logits(residual, size), quality)

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze the layer of the predicted IoU where no loss reads it; every other weight reads every kind.

        Args:
            kinds (frozenset): The prompt kinds that will be given.
            quality_used (bool): Whether a loss reads the predicted quality.
        """
        if not quality_used:
            freeze(self.quality)
