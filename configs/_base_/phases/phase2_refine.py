# Phase 2: the refiner alone, on the out-of-fold predictions of phase 1. Fold k trains on the images outside of fold k
# and validates on those of fold k, each with the prediction of the model that did not see it.
phase = 'refine'
work_dir = '{out_dir}/checkpoints/sam_finetuned/fold_{fold}'

coarse = dict(type='PrecomputedCoarse')
losses = [
    dict(type='StageBCE', stage='refined'),
    dict(type='StageDice', stage='refined'),
    dict(type='PredictedIoUMSE', stage='refined'),
]

train_pipeline = [
    dict(type='LoadImage', grey_channels=1),
    dict(type='LoadMask'),
    dict(type='LoadCoarsePrediction'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
    dict(type='PackRefinerInputs'),
]
test_pipeline = [
    dict(type='LoadImage', grey_channels=1),
    dict(type='LoadMask'),
    dict(type='LoadCoarsePrediction'),
    dict(type='PackRefinerInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='single_buffer_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConvertedDataset',
        data_root='{data_dir}/{dataset}',
        coarse_dir='{out_dir}/predictions/{dataset}/predictions',
        subset='train',
        fold='{fold}',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    collate_fn=dict(type='single_buffer_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConvertedDataset',
        data_root='{data_dir}/{dataset}',
        coarse_dir='{out_dir}/predictions/{dataset}/predictions',
        subset='val',
        fold='{fold}',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='RefinementMetric')
val_cfg = dict(type='ValLoop')
# There are out-of-fold predictions of training images only, so the test set of phase 2 is its validation fold. The pair
# of phases 1 and 2 is tested on the held-out images with the config of phase 3.
test_dataloader = val_dataloader
test_evaluator = dict(type='RefinementMetric', boundary_metrics=('HD95', 'ASSD', 'NSD', 'BoundaryIoU'))
test_cfg = dict(type='TestLoop')
