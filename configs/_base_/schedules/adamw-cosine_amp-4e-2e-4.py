# Phase 3 of the results: four epochs, in bfloat16.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=0, T_max=4, end=4, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1)
