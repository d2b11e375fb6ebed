"""A SAM small enough to train on a CPU from random weights: 256 pixel input, 128 pixel low-res logits."""

refiner = dict(
    type='SAMRefiner',
    arch=dict(
        image_size=256,
        patch_size=8,
        embed_dim=96,
        depth=4,
        num_heads=4,
        global_attn_indexes=(3,),
        window_size=8,
        prompt_dim=96,
        decoder_mlp_dim=192,
        decoder_num_heads=4,
        iou_head_hidden_dim=96,
    ),
    input_profile='sam',
    encoder='trained',
    checkpoint=None,
    selection=dict(type='ArgmaxSelection'),
)
