# Phase 2 of the results (docs/results.md): a cascade; the small TransUNet sees the crop around its coarse mask.
_base_ = [
    '../_base_/models/refiner_transunet-small_roi.py',
    '../_base_/models/prompts_point-moment-box-mask.py',
    '../_base_/phases/phase2_refine.py',
    '../_base_/schedules/adamw-cosine_amp-12e-1e-3.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(128, 128), grey=True, value_range='unit'),
    prompt_generator=_base_.prompt_generator,
    refiner=_base_.refiner,
    # It predicts no IoU.
    losses=_base_.losses[:2],
    refine_size=(192, 192),
)
# A third of the schedule's rate, as it begins with trained weights.
optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1)
default_hooks = dict(visualization=dict(tensorboard_images=0))
# Fold k is a run of its own, with a seed of its own.
randomness = dict(seed='{fold}')
