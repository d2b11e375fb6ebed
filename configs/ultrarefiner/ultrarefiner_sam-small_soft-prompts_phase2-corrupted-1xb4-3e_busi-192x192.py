# Phase 2 of the CPU family on a mix: in each epoch half of the images keep the coarse network's out-of-fold prediction,
# the other half get corrupted ground truth instead, new every epoch. Validation is on real predictions alone.
#
# Where there are no predictions to train on, set ratio=1.0 and drop LoadCoarsePrediction; validation needs them anyway.
# preset takes the JSON file of tools/analysis_tools/fit_corruption.py as well.
_base_ = './ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'

train_pipeline = [
    dict(type='LoadImage', grey_channels=1),
    dict(type='LoadMask'),
    dict(type='LoadCoarsePrediction'),
    dict(type='CorruptMask', preset='default', ratio=0.5),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
    dict(type='PackRefinerInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='DatasetEpochHook')]
