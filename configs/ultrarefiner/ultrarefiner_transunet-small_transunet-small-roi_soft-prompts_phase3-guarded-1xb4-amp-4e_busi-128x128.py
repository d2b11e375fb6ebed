# Phase 3 of the results (docs/results.md): both networks of the cascade, with what keeps the first from getting worse.
_base_ = [
    '../_base_/models/coarse_transunet-small-128.py',
    '../_base_/models/refiner_transunet-small_roi.py',
    '../_base_/models/prompts_point-moment-box-mask.py',
    '../_base_/phases/phase3_joint.py',
    '../_base_/schedules/adamw-cosine_amp-4e-2e-4.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(128, 128), grey=True, value_range='unit'),
    prompt_generator=_base_.prompt_generator,
    refiner=_base_.refiner,
    # What spoils a good coarse mask costs extra.
    losses=[*_base_.losses, dict(type='ChangePenalty', stage='refined', loss_weight=0.5)],
    refine_size=(192, 192),
    init_from=_base_.init_from,
    coarse_gradient_scale=0.5,
    regularizers=[dict(type='L2Anchor', loss_weight=1e-3)],
)
custom_hooks = [
    dict(type='FrozenNormHook', parts=['coarse']),
    dict(type='RestoreCoarseHook', tolerance=0.02),
]
train_dataloader = dict(batch_size=4, num_workers=1)
val_dataloader = dict(batch_size=4, num_workers=1)
default_hooks = dict(visualization=dict(tensorboard_images=0))
# Fold k is a run of its own, with a seed of its own.
randomness = dict(seed='{fold}')
