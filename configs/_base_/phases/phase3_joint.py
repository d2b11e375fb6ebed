# Phase 3: both networks together, from the checkpoints of phases 1 and 2 of the same fold. The refined loss flows back
# through the prompts into the coarse network.
phase = 'joint'
work_dir = '{out_dir}/checkpoints/ultrarefiner/{dataset}/fold_{fold}'
init_from = dict(
    coarse='{out_dir}/checkpoints/{coarse_name}/{dataset}/fold_{fold}/best.pth',
    refiner='{out_dir}/checkpoints/sam_finetuned/fold_{fold}/best.pth',
)

# The method: 0.3 (CE + Dice) on the coarse result and 0.7 (BCE + Dice) on the refined one.
losses = [
    dict(type='StageCrossEntropy', stage='coarse', loss_weight=0.3),
    dict(type='StageDice', stage='coarse', loss_weight=0.3),
    dict(type='StageBCE', stage='refined', loss_weight=0.7),
    dict(type='StageDice', stage='refined', loss_weight=0.7),
]

train_pipeline = [
    dict(type='LoadImage', grey_channels=1),
    dict(type='LoadMask'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
    dict(type='PackRefinerInputs'),
]
test_pipeline = [dict(type='LoadImage', grey_channels=1), dict(type='LoadMask'), dict(type='PackRefinerInputs')]

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='single_buffer_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConvertedDataset',
        data_root='{data_dir}/{dataset}',
        subset='train',
        fold='{fold}',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='single_buffer_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConvertedDataset', data_root='{data_dir}/{dataset}', subset='val', fold='{fold}', pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=2,
    collate_fn=dict(type='single_buffer_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ConvertedDataset', data_root='{data_dir}/{dataset}', subset='test', pipeline=test_pipeline),
)
val_evaluator = dict(type='RefinementMetric')
test_evaluator = dict(type='RefinementMetric', boundary_metrics=('HD95', 'ASSD', 'NSD', 'BoundaryIoU'))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
