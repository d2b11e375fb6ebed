"""A SAM small enough to train on a CPU from random weights: 256 pixel input, 128 pixel low-res logits.

Windows of 16 patches in every block, a quarter of the image each, take two thirds of the time of a global block; the
mask decoder attends to the whole image anyway. With patch_size=16, window_size=8, embed_dim=128 and prompt_dim=128 a
step takes half the time again, for 64 pixel low-res logits.
"""

refiner = dict(
    type='SAMRefiner',
    arch=dict(
        image_size=256,
        patch_size=8,
        embed_dim=96,
        depth=4,
        num_heads=3,
        global_attn_indexes=(),
        window_size=16,
        prompt_dim=64,
        decoder_mlp_dim=128,
        decoder_num_heads=4,
        iou_head_hidden_dim=64,
    ),
    input_profile='sam',
    encoder='trained',
    checkpoint=None,
    selection=dict(type='ArgmaxSelection'),
)
