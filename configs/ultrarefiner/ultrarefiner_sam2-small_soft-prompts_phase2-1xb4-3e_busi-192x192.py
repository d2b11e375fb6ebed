# Phase 2 of the CPU family with a small SAM 2 in the place of the small SAM.
_base_ = [
    '../_base_/models/refiner_sam2-small.py',
    '../_base_/models/prompts_point-moment-box-mask.py',
    '../_base_/phases/phase2_refine.py',
    '../_base_/schedules/adamw-cosine_3e-1e-3.py',
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
)
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1)
