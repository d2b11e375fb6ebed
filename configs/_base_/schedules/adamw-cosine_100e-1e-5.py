# Phase 3 of the method: AdamW, learning rate 1e-5, cosine decay, 100 epochs.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.01, fused=True))
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, begin=0, T_max=100, end=100, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
