"""Tiny models of every architecture that `TransformersRefiner` takes, with random weights."""

import torch
from sam_makers import randomise
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from ultrarefiner.models.refiners import TransformersRefiner


class PyramidConfig(PretrainedConfig):
    """Of `Pyramid`."""

    model_type = 'tiny_pyramid'
    channels: tuple = (8, 16, 32, 64)


class Pyramid(PreTrainedModel):
    """Stands for timm's RepViT, which is not installed everywhere: four maps, each half the size of the last."""

    config_class = PyramidConfig

    def __init__(self, config):
        super().__init__(config)
        widths = (3, *config.channels)
        sizes = [dict(kernel_size=4, stride=4), *[dict(kernel_size=2, stride=2)] * 3]
        self.stages = nn.ModuleList(nn.Conv2d(*pair, **size) for pair, size in zip(zip(widths, widths[1:]), sizes))
        self.post_init()

    def forward(self, pixel_values, **kwargs):
        """The four maps (N, C_i, H_i, W_i) where other models give the last one."""
        maps = [pixel_values]
        for stage in self.stages:
            maps.append(stage(maps[-1]).tanh())
        return BaseModelOutput(last_hidden_state=maps[1:])


AutoConfig.register(PyramidConfig.model_type, PyramidConfig, exist_ok=True)
AutoModel.register(PyramidConfig, Pyramid, exist_ok=True)

_DECODER = dict(hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16)
_VIT = dict(
    hidden_size=24,
    output_channels=32,
    num_pos_feats=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    patch_size=8,
    window_size=3,
    global_attn_indexes=[1],
)
_SAM = dict(
    image_size=64,
    vision_config=_VIT,
    prompt_encoder_config=dict(hidden_size=32, patch_size=8),
    mask_decoder_config=_DECODER,
)
_SAM2 = dict(prompt_encoder_config=dict(hidden_size=32), mask_decoder_config=_DECODER)
_HIERA = dict(
    hidden_size=8,
    num_attention_heads=1,
    blocks_per_stage=[1, 1, 2, 1],
    embed_dim_per_stage=[8, 16, 32, 64],
    num_attention_heads_per_stage=[1, 1, 2, 2],
    window_size_per_stage=[8, 4, 4, 2],
    global_attention_blocks=[3],
)
_SAM3_VIT = dict(
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    patch_size=8,
    window_size=4,
    global_attn_indexes=[1],
    pretrain_image_size=32,
)
TINY = dict(
    sam=dict(_SAM, model_type='sam'),
    sam_hq=dict(_SAM, model_type='sam_hq', mask_decoder_config=dict(_DECODER, vit_dim=24)),
    sam2=dict(
        _SAM2,
        model_type='sam2',
        image_size=128,
        vision_config=dict(backbone_config=_HIERA, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32),
    ),
    edgetam=dict(
        _SAM2,
        model_type='edgetam',
        image_size=128,
        vision_config=dict(
            backbone_config=dict(model_type='tiny_pyramid'), backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32
        ),
    ),
    sam3_tracker=dict(
        _SAM2,
        model_type='sam3_tracker',
        image_size=64,
        vision_config=dict(backbone_config=_SAM3_VIT, fpn_hidden_size=32, scale_factors=[4.0, 2.0, 1.0]),
        prompt_encoder_config=dict(hidden_size=32, patch_size=8),
    ),
)


def tiny(model_type, **options):
    """A tiny refiner in evaluation mode, with weights that make every part count."""
    torch.manual_seed(0)
    return randomise(TransformersRefiner(**{**dict(arch=TINY[model_type], encoder='trained'), **options})).eval()
