# Phase 1 of the results (docs/results.md): 11,000 images seen.
_base_ = [
    '../_base_/models/coarse_transunet-small-128.py',
    '../_base_/phases/phase1_coarse.py',
    '../_base_/schedules/adamw-cosine_amp-12e-1e-3.py',
    '../_base_/default_runtime.py',
]
dataset = 'busbra'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(128, 128), grey=True, value_range='unit'),
    losses=_base_.losses,
)
train_dataloader = dict(batch_size=8, num_workers=1)
val_dataloader = dict(num_workers=1)
default_hooks = dict(checkpoint=dict(save_best='coarse/Dice'), visualization=dict(tensorboard_images=0))
# Fold k is a run of its own, with a seed of its own.
randomness = dict(seed='{fold}')
