# TransUNet R50-ViT-B/16 at 224 pixels, two classes (background and lesion): 105,276,066 parameters.
coarse = dict(
    name='transunet',
    type='EncoderDecoder',
    backbone=dict(
        type='TransUNetBackbone',
        img_size=(224, 224),
        block_units=(3, 4, 9),
        width=64,
        norm_groups=32,
        hidden_size=768,
        num_layers=12,
        num_heads=12,
        mlp_size=3072,
        dropout=0.1,
        # Google's ImageNet-21k weights; init_cfg=None starts from random ones.
        init_cfg=dict(type='Pretrained', checkpoint='weights/R50+ViT-B_16.npz'),
    ),
    decode_head=dict(
        type='TransUNetHead',
        in_channels=(64, 256, 512, 768),
        in_index=(0, 1, 2, 3),
        stem_channels=512,
        decoder_channels=(256, 128, 64, 16),
        num_classes=2,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
