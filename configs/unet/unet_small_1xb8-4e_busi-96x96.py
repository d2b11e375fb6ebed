# Phase 1 of the CPU family with another coarse network.
_base_ = [
    '../_base_/models/coarse_unet-small.py',
    '../_base_/phases/phase1_coarse.py',
    '../_base_/schedules/adamw-cosine_4e-1e-3.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(96, 96), grey=True, value_range='unit'),
    losses=_base_.losses,
)
train_dataloader = dict(batch_size=8, num_workers=1)
val_dataloader = dict(num_workers=1)
default_hooks = dict(checkpoint=dict(save_best='coarse/Dice'))
