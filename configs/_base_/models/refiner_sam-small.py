"""A SAM small enough to train on a CPU from random weights: 192 pixel input, 96 pixel low-res logits.

Windows of 12 patches in every block, a quarter of the image each, take two thirds of the time of a global block; the
mask decoder attends to the whole image anyway. With patch_size=16, window_size=6, embed_dim=128 and prompt_dim=128 a
step takes half the time again, for 48 pixel low-res logits.
"""

refiner = dict(
    type='SAMRefiner',
    arch=dict(
        image_size=192,
        patch_size=8,
        embed_dim=96,
        depth=3,
        num_heads=3,
        global_attn_indexes=(),
        window_size=12,
        prompt_dim=64,
        decoder_mlp_dim=128,
        decoder_num_heads=4,
        iou_head_hidden_dim=64,
    ),
    input_profile='sam',
    encoder='trained',
    checkpoint=None,
    selection=dict(type='SoftmaxSelection'),
)
