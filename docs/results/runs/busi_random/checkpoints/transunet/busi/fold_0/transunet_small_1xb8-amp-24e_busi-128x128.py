coarse = dict(
    backbone=dict(
        block_units=(
            1,
            2,
            2,
        ),
        dropout=0.0,
        hidden_size=192,
        img_size=(
            128,
            128,
        ),
        init_cfg=None,
        mlp_size=384,
        norm_groups=8,
        num_heads=6,
        num_layers=3,
        type='TransUNetBackbone',
        width=16),
    decode_head=dict(
        decoder_channels=(
            64,
            32,
            16,
            8,
        ),
        in_channels=(
            16,
            64,
            128,
            192,
        ),
        in_index=(
            0,
            1,
            2,
            3,
        ),
        loss_decode=dict(
            avg_non_ignore=True, loss_weight=1.0, type='CrossEntropyLoss'),
        num_classes=2,
        stem_channels=96,
        type='TransUNetHead'),
    name='transunet',
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='EncoderDecoder')
coarse_name = 'transunet'
data_dir = 'data'
dataset = 'busi'
default_hooks = dict(
    best_checkpoint=dict(type='BestCheckpointHook'),
    checkpoint=dict(
        interval=1,
        max_keep_ckpts=1,
        rule='greater',
        save_best='coarse/Dice',
        save_last=True,
        type='CheckpointHook'),
    logger=dict(interval=10, type='LoggerHook'),
    memory_watch=dict(type='MemoryWatchHook'),
    missed_validation=dict(type='MissedValidationHook'),
    non_finite_loss=dict(type='NonFiniteLossHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
    timer=dict(type='IterTimerHook'),
    trainable_report=dict(type='TrainableReportHook'),
    visualization=dict(tensorboard_images=0, type='StageVisualizationHook'))
default_scope = 'ultrarefiner'
env_cfg = dict(
    cpu_allocator='keep',
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    float32_matmul='fastest',
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
fingerprint = 'f777b796936331a71549766e3c8b52c5ac0c6f88eec9d6f00c19d3d2dcfaf06e'
fold = 0
launcher = 'none'
load_from = None
log_level = 'INFO'
log_processor = dict(by_epoch=True)
losses = [
    dict(loss_weight=0.5, stage='coarse', type='StageCrossEntropy'),
    dict(loss_weight=0.5, stage='coarse', type='StageDice'),
]
model = dict(
    coarse=dict(
        backbone=dict(
            block_units=(
                1,
                2,
                2,
            ),
            dropout=0.0,
            hidden_size=192,
            img_size=(
                128,
                128,
            ),
            init_cfg=None,
            mlp_size=384,
            norm_groups=8,
            num_heads=6,
            num_layers=3,
            type='TransUNetBackbone',
            width=16),
        decode_head=dict(
            decoder_channels=(
                64,
                32,
                16,
                8,
            ),
            in_channels=(
                16,
                64,
                128,
                192,
            ),
            in_index=(
                0,
                1,
                2,
                3,
            ),
            loss_decode=dict(
                avg_non_ignore=True, loss_weight=1.0, type='CrossEntropyLoss'),
            num_classes=2,
            stem_channels=96,
            type='TransUNetHead'),
        test_cfg=dict(mode='whole'),
        train_cfg=dict(),
        type='EncoderDecoder'),
    coarse_input=dict(grey=True, size=(
        128,
        128,
    ), value_range='unit'),
    losses=[
        dict(loss_weight=0.5, stage='coarse', type='StageCrossEntropy'),
        dict(loss_weight=0.5, stage='coarse', type='StageDice'),
    ],
    type='CoarseToFine')
optim_wrapper = dict(
    clip_grad=dict(max_norm=1.0),
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.001, type='AdamW', weight_decay=0.01),
    type='AmpOptimWrapper')
out_dir = '.'
param_scheduler = [
    dict(
        begin=0,
        by_epoch=True,
        convert_to_iter_based=True,
        end=1,
        start_factor=0.1,
        type='LinearLR'),
    dict(
        T_max=23,
        begin=1,
        by_epoch=True,
        convert_to_iter_based=True,
        end=24,
        eta_min=1e-06,
        type='CosineAnnealingLR'),
]
phase = 'coarse'
randomness = dict(seed=0)
resume = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=8,
    collate_fn=dict(type='single_buffer_collate'),
    dataset=dict(
        data_root='data/busi',
        pipeline=[
            dict(grey_channels=1, type='LoadImage'),
            dict(type='LoadMask'),
            dict(type='PackRefinerInputs'),
        ],
        subset='test',
        type='ConvertedDataset'),
    num_workers=2,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(
    boundary_metrics=(
        'HD95',
        'ASSD',
        'NSD',
        'BoundaryIoU',
    ),
    stages=('coarse', ),
    type='RefinementMetric')
test_pipeline = [
    dict(grey_channels=1, type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='PackRefinerInputs'),
]
train_cfg = dict(max_epochs=24, type='EpochBasedTrainLoop', val_interval=3)
train_dataloader = dict(
    batch_size=8,
    collate_fn=dict(type='single_buffer_collate'),
    dataset=dict(
        data_root='data/busi',
        fold=0,
        pipeline=[
            dict(grey_channels=1, type='LoadImage'),
            dict(type='LoadMask'),
            dict(direction='horizontal', prob=0.5, type='RandomFlip'),
            dict(
                degree=20,
                pad_val=0,
                prob=0.5,
                seg_pad_val=0,
                type='RandomRotate'),
            dict(type='PackRefinerInputs'),
        ],
        subset='train',
        type='ConvertedDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='DefaultSampler'))
train_pipeline = [
    dict(grey_channels=1, type='LoadImage'),
    dict(type='LoadMask'),
    dict(direction='horizontal', prob=0.5, type='RandomFlip'),
    dict(degree=20, pad_val=0, prob=0.5, seg_pad_val=0, type='RandomRotate'),
    dict(type='PackRefinerInputs'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=8,
    collate_fn=dict(type='single_buffer_collate'),
    dataset=dict(
        data_root='data/busi',
        fold=0,
        pipeline=[
            dict(grey_channels=1, type='LoadImage'),
            dict(type='LoadMask'),
            dict(type='PackRefinerInputs'),
        ],
        subset='val',
        type='ConvertedDataset'),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(stages=('coarse', ), type='RefinementMetric')
visualizer = dict(
    type='Visualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
work_dir = 'checkpoints/transunet/busi/fold_0'
