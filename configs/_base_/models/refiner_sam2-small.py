"""A SAM 2 small enough to train on a CPU from random weights: 192 pixel input, 48 pixel low-res logits.

It has 1.6 million parameters. Its logits are coarser than those of `refiner_sam-small.py` at the same input, but are
made with features of 48 and 24 pixels a side, as in the published models.
"""

refiner = dict(
    type='TransformersRefiner',
    arch=dict(
        model_type='sam2',
        image_size=192,
        initializer_range=0.1,  # decoder and prompts: 0.02, made for published weights, starts slowly at this width
        vision_config=dict(
            backbone_config=dict(
                hidden_size=32,
                num_attention_heads=1,
                blocks_per_stage=[1, 2, 3, 1],
                embed_dim_per_stage=[32, 64, 128, 256],
                num_attention_heads_per_stage=[1, 2, 4, 8],
                window_size_per_stage=[8, 4, 6, 6],
                global_attention_blocks=[5],
            ),
            backbone_channel_list=[256, 128, 64, 32],
            fpn_hidden_size=64,
        ),
        prompt_encoder_config=dict(hidden_size=64),
        mask_decoder_config=dict(hidden_size=64, mlp_dim=128, num_attention_heads=4, iou_head_hidden_dim=64),
    ),
    encoder='trained',
    pretrained=None,
    selection=dict(type='SoftmaxSelection'),
)
