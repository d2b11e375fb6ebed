"""The published models of the SAM family that `transformers` reads: their sizes, known without network."""

from __future__ import annotations


def _vit(hidden_size: int, depth: int, num_heads: int, global_blocks: list[int]) -> dict:
    return dict(
        hidden_size=hidden_size,
        num_hidden_layers=depth,
        num_attention_heads=num_heads,
        global_attn_indexes=global_blocks,
    )


def _hiera(width: int, blocks: list[int], global_blocks: list[int], **backbone) -> dict:
    channels = [width * scale for scale in (1, 2, 4, 8)]
    backbone.update(
        hidden_size=width, embed_dim_per_stage=channels, blocks_per_stage=blocks, global_attention_blocks=global_blocks
    )
    return dict(model_type='sam2', vision_config=dict(backbone_config=backbone, backbone_channel_list=channels[::-1]))


_VIT_L, _VIT_H = _vit(1024, 24, 16, [5, 11, 17, 23]), _vit(1280, 32, 16, [7, 15, 23, 31])
_WIDE_HEADS = dict(num_attention_heads=2, num_attention_heads_per_stage=[2, 4, 8, 16])
_HIERAS = {
    'tiny': _hiera(96, [1, 2, 7, 2], [5, 7, 9]),
    'small': _hiera(96, [1, 2, 11, 2], [7, 10, 13]),
    'base-plus': _hiera(
        112, [2, 3, 16, 3], [12, 16, 20], window_positional_embedding_background_size=[14, 14], **_WIDE_HEADS
    ),
    'large': _hiera(144, [2, 6, 36, 4], [23, 33, 43], window_size_per_stage=[8, 4, 16, 8], **_WIDE_HEADS),
}
# By their names on the Hugging Face hub; what differs from the defaults of `transformers`.
PUBLISHED = {
    'facebook/sam-vit-base': dict(model_type='sam'),
    'facebook/sam-vit-large': dict(model_type='sam', vision_config=_VIT_L),
    'facebook/sam-vit-huge': dict(model_type='sam', vision_config=_VIT_H),
    'syscv-community/sam-hq-vit-base': dict(model_type='sam_hq'),
    'syscv-community/sam-hq-vit-large': dict(
        model_type='sam_hq', vision_config=_VIT_L, mask_decoder_config=dict(vit_dim=1024)
    ),
    'syscv-community/sam-hq-vit-huge': dict(
        model_type='sam_hq', vision_config=_VIT_H, mask_decoder_config=dict(vit_dim=1280)
    ),
    **{f'facebook/sam2-hiera-{size}': sizes for size, sizes in _HIERAS.items()},
    **{f'facebook/sam2.1-hiera-{size}': sizes for size, sizes in _HIERAS.items()},
    'yonigozlan/EdgeTAM-hf': dict(model_type='edgetam'),
}
