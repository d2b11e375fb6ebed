"""SAMArchitecture: the sizes of a Segment Anything Model, and its three parts built from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn

from .image_encoder import ImageEncoder

NUM_CANDIDATES = 3


@dataclass(frozen=True)
class SAMArchitecture:
    """Sizes of a SAM; the defaults are those of the published ViT-B (segment-anything, `build_sam.py`).

    The image embedding has ``image_size / patch_size`` cells a side, and the low-res logits have four pixels a cell.

    Args:
        image_size (int): Side in pixels of the square input.
        patch_size (int): Side in pixels of a patch.
        embed_dim (int): Channels of the image encoder.
        depth (int): Blocks of the image encoder.
        num_heads (int): Attention heads of the image encoder.
        global_attn_indexes (tuple[int, ...]): The blocks that attend to the whole image.
        window_size (int): Side in patches of the window of the other blocks.
        prompt_dim (int): Channels of the image embedding, the prompts and the mask decoder; a multiple of 8.
        mask_in_chans (int): Hidden channels of the mask prompt's encoder; a multiple of 4.
        decoder_depth (int): Layers of the two-way transformer.
        decoder_mlp_dim (int): Hidden channels of its MLPs.
        decoder_num_heads (int): Its attention heads.
        iou_head_hidden_dim (int): Hidden channels of the IoU head.

    Raises:
        ValueError: If the sizes do not divide.
    """

    image_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    window_size: int = 14
    prompt_dim: int = 256
    mask_in_chans: int = 16
    decoder_depth: int = 2
    decoder_mlp_dim: int = 2048
    decoder_num_heads: int = 8
    iou_head_hidden_dim: int = 256

    def __post_init__(self):
        divisions = (
            ('image_size', 'patch_size', self.patch_size),
            ('embed_dim', 'num_heads', self.num_heads),
            ('prompt_dim', '8, for the upscaling', 8),
            # The attention of the mask decoder halves its channels before it splits them into heads.
            ('prompt_dim', 'twice decoder_num_heads', 2 * self.decoder_num_heads),
            ('mask_in_chans', '4, for the downscaling', 4),
        )
        for name, by, divisor in divisions:
            if getattr(self, name) % divisor:
                raise ValueError(
                    f'SAMArchitecture.{name} is {getattr(self, name)}, expected a multiple of {by} ({divisor})'
                )

    @classmethod
    def from_config(cls, arch: str | dict) -> SAMArchitecture:
        """From a published name, or sizes that change the ViT-B's, or those of ``base``.

        Args:
            arch (str | dict): 'vit_b', 'vit_l' or 'vit_h'; or sizes, such as ``dict(base='vit_l', image_size=512)``.

        Raises:
            ValueError: If the name is not a published one.
            TypeError: If a size is not one of those above.
        """
        sizes = dict(base=arch) if isinstance(arch, str) else dict(arch)
        base = sizes.pop('base', 'vit_b')
        if base not in PUBLISHED:
            raise ValueError(f'SAMRefiner: arch is {base!r}, expected one of {sorted(PUBLISHED)} or a dict of sizes')
        return cls(**{**PUBLISHED[base], **sizes})

    def encoder_sizes(self) -> dict:
        """The arguments of the image encoder, `segment_anything`'s and ours."""
        return dict(
            img_size=self.image_size,
            patch_size=self.patch_size,
            embed_dim=self.embed_dim,
            depth=self.depth,
            num_heads=self.num_heads,
            out_chans=self.prompt_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=self.window_size,
            global_attn_indexes=tuple(self.global_attn_indexes),
        )

    def build(self, activations: str = 'kept') -> tuple[ImageEncoder, PromptEncoder, MaskDecoder]:
        """The three parts, with random weights.

        Args:
            activations (str): As in `ImageEncoder`. Defaults to 'kept'.
        """
        return ImageEncoder(activations=activations, **self.encoder_sizes()), *self.build_decoding()

    def build_decoding(self) -> tuple[PromptEncoder, MaskDecoder]:
        """The two parts that follow the image encoder, with random weights; they are `segment_anything`'s."""
        grid = (self.image_size // self.patch_size,) * 2
        prompt_encoder = PromptEncoder(
            embed_dim=self.prompt_dim,
            image_embedding_size=grid,
            input_image_size=(self.image_size,) * 2,
            mask_in_chans=self.mask_in_chans,
        )
        mask_decoder = MaskDecoder(
            num_multimask_outputs=NUM_CANDIDATES,
            transformer_dim=self.prompt_dim,
            transformer=TwoWayTransformer(
                depth=self.decoder_depth,
                embedding_dim=self.prompt_dim,
                mlp_dim=self.decoder_mlp_dim,
                num_heads=self.decoder_num_heads,
            ),
            iou_head_hidden_dim=self.iou_head_hidden_dim,
        )
        return prompt_encoder, mask_decoder


PUBLISHED = dict(
    vit_b=dict(embed_dim=768, depth=12, num_heads=12, global_attn_indexes=(2, 5, 8, 11)),
    vit_l=dict(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23)),
    vit_h=dict(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31)),
)
