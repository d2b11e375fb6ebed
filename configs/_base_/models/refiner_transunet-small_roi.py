"""A cascade: the small TransUNet of phase 1 once more, on a crop around the coarse mask, added to the coarse logits.

It begins with the weights of phase 1 of the same fold.
"""

refiner = dict(
    type='ROIRefiner',
    margin=0.5,
    refiner=dict(
        type='ResidualRefiner',
        scale=1.0,
        refiner=dict(
            type='SegmentorRefiner',
            segmentor=dict(
                type='EncoderDecoder',
                backbone=dict(
                    type='TransUNetBackbone',
                    img_size=(128, 128),
                    block_units=(1, 2, 2),
                    width=16,
                    norm_groups=8,
                    hidden_size=192,
                    num_layers=3,
                    num_heads=6,
                    mlp_size=384,
                    dropout=0.0,
                    init_cfg=None,
                ),
                decode_head=dict(
                    type='TransUNetHead',
                    in_channels=(16, 64, 128, 192),
                    in_index=(0, 1, 2, 3),
                    stem_channels=96,
                    decoder_channels=(64, 32, 16, 8),
                    num_classes=2,
                    loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0),
                ),
                train_cfg=dict(),
                test_cfg=dict(mode='whole'),
            ),
            segmentor_input=dict(size=(128, 128), grey=True, value_range='unit'),
            checkpoint='{out_dir}/checkpoints/transunet/{dataset}/fold_{fold}/best.pth',
        ),
    ),
)
