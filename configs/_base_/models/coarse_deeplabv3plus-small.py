# DeepLabV3+ for two CPU cores: mmseg's head on a ResNet-18 of a third of the width, with output stride 8.
coarse = dict(
    name='deeplabv3plus',
    type='EncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        in_channels=1,
        stem_channels=24,
        base_channels=24,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='BN'),
        contract_dilation=True,
    ),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=192,
        in_index=3,
        channels=64,
        dilations=(1, 2, 4, 6),
        c1_in_channels=24,
        c1_channels=16,
        dropout_ratio=0.1,
        num_classes=2,
        # The head pools the whole image to one pixel, where batch normalisation fails on a batch of one image.
        norm_cfg=dict(type='GN', num_groups=8),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
