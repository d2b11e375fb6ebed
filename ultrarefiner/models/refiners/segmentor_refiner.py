"""SegmentorRefiner: any mmseg segmentor as the refiner, the second network of a cascade."""

from __future__ import annotations

from torch import Tensor, nn

from ...interfaces import BaseRefiner
from ...registry import MODELS, REFINERS
from ...structures import ImageEmbedding, InputProfile, Prompts, SegOutput
from ...structures.prompts import KINDS
from ...utils.checkpoint import check_input_profiles, load_strictly, read_checkpoint, stage_state_dict
from ...utils.one_vs_rest import one_vs_rest
from ...utils.resize_logits import resize_logits
from .prompt_maps import MAP_CHANNELS, stage_maps


@REFINERS.register_module()
class SegmentorRefiner(BaseRefiner):
    """A binary mmseg segmentor that sees the image, and on it the coarse mask and the prompts.

    A layer adds what it makes of the coarse logits, their probability and a map of each prompt kind to the channels of
    the image. It starts at zero, so that the segmentor may begin with the weights of phase 1, with which it has
    segmented images alone. It makes a mask of its own. Around a crop, and added to the coarse logits, it is the cascade
    of two networks of which the second sees the object larger::

        refiner=dict(type='ROIRefiner', refiner=dict(type='ResidualRefiner', scale=1.0, refiner=_base_.refiner))

    Args:
        segmentor (dict): Config of an mmseg segmentor with one foreground class.
        segmentor_input (dict): `InputProfile` of its input.
        channels (int): Channels that it takes: 1, or 3, to which a grey image is repeated. Defaults to 3.
        checkpoint (str, optional): A checkpoint of phase 1, whose coarse network the segmentor begins with. None begins
            with random weights.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If the segmentor has several foreground classes or an auxiliary head, or takes fewer channels than
            its image has.
    """

    accepts = frozenset(KINDS)

    def __init__(
        self,
        segmentor: dict,
        segmentor_input: dict,
        channels: int = 3,
        checkpoint: str | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.input_profile = InputProfile(**segmentor_input)
        self.segmentor = MODELS.build(segmentor)
        self.channels = channels
        self.checkpoint = checkpoint
        if self.segmentor.out_channels > 2 or getattr(self.segmentor, 'with_auxiliary_head', False):
            raise ValueError(
                f'SegmentorRefiner: the segmentor has {self.segmentor.out_channels} channels of classes, expected 1 or '
                '2 (every slot is refined alone), and no auxiliary head, whose loss would never be asked for'
            )
        if self.input_profile.keep_ratio or channels not in ((1, 3) if self.input_profile.grey else (3,)):
            raise ValueError(
                f'SegmentorRefiner: segmentor_input is {segmentor_input} and channels {channels}, expected an image '
                'that is squashed (keep_ratio=False), and 3 channels, or 1 for a grey image (grey=True)'
            )
        self.paint = nn.Conv2d(MAP_CHANNELS, channels, kernel_size=3, padding=1)
        nn.init.zeros_(self.paint.weight)
        nn.init.zeros_(self.paint.bias)

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """Prepare the images; the network looks at them together with the masks.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Pixels (N, C, h, w), as ``segmentor_input`` says.
        """
        return ImageEmbedding(*self.input_profile.prepare(images))

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Segment each slot.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, h, w).
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W).
        """
        slots = coarse.logits.shape[1]
        pixels = embedding.features.expand(-1, self.channels, -1, -1).repeat_interleave(slots, dim=0)
        maps = stage_maps(coarse.logits, prompts, self.input_profile.size)
        logits = self.segmentor(pixels + self.paint(maps.flatten(0, 1)), mode='tensor').float()
        return SegOutput(resize_logits(one_vs_rest(logits)[:, 0].unflatten(0, (-1, slots)), size))

    def freeze_unused(self, kinds: frozenset, quality_used: bool) -> None:
        """Freeze nothing: every weight reads every kind, and no quality is predicted."""

    def init_weights(self) -> None:
        """Read the checkpoint of phase 1, or initialise the segmentor in its own way.

        Raises:
            FileNotFoundError: If the checkpoint is absent.
            ValueError: If its weights do not fit, or it wants its image prepared in another way.
        """
        if self.is_init:
            return
        if self.checkpoint is None:
            self.segmentor.init_weights()
        else:
            saved = read_checkpoint(self.checkpoint, 'run phase 1 first, or set checkpoint=None')
            check_input_profiles(saved, dict(coarse=self.input_profile.as_dict()), self.checkpoint)
            load_strictly(self.segmentor, stage_state_dict(saved, 'coarse', self.checkpoint), self.checkpoint)
        self.is_init = True
