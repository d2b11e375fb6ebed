# Phase 3 of the CPU family with the convolutional baseline in the place of the small SAM.
_base_ = [
    '../_base_/models/coarse_transunet-small.py',
    '../_base_/models/refiner_conv-small.py',
    '../_base_/models/prompts_point-moment-box-mask.py',
    '../_base_/phases/phase3_joint.py',
    '../_base_/schedules/adamw-cosine_2e-2e-4.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(96, 96), grey=True, value_range='unit'),
    prompt_generator=_base_.prompt_generator,
    refiner=_base_.refiner,
    losses=_base_.losses,
    refine_size=(192, 192),
    init_from=_base_.init_from,
)
train_dataloader = dict(batch_size=4, num_workers=1)
val_dataloader = dict(num_workers=1)
