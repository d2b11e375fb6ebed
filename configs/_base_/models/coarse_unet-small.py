# UNet for two CPU cores: mmseg's, with 16 channels at full resolution, 1.8 million parameters.
coarse = dict(
    name='unet',
    type='EncoderDecoder',
    backbone=dict(type='UNet', in_channels=1, base_channels=16, norm_cfg=dict(type='BN')),
    decode_head=dict(
        type='FCNHead',
        in_channels=16,
        in_index=4,
        channels=16,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=2,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
