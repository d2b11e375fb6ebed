_base_ = '../../../configs/transunet/transunet_small_1xb8-4e_busi-96x96.py'
custom_imports = dict(imports=['dilated_backbone'])
model = dict(
    coarse=dict(
        name='dilated',  # of its folder under checkpoints/
        backbone=dict(_delete_=True, type='DilatedBackbone', in_channels=1, channels=32),
        decode_head=dict(
            _delete_=True,
            type='FCNHead',
            in_channels=32,
            in_index=0,
            channels=32,
            num_convs=1,
            num_classes=2,
            norm_cfg=dict(type='GN', num_groups=8),
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
    )
)
