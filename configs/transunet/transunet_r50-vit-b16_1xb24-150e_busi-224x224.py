# Phase 1 of the method at full size.
_base_ = [
    '../_base_/models/coarse_transunet_r50-vit-b16.py',
    '../_base_/phases/phase1_coarse.py',
    '../_base_/schedules/sgd-poly_150e.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(224, 224), grey=True, value_range='unit'),
    losses=_base_.losses,
)
default_hooks = dict(checkpoint=dict(save_best='coarse/Dice'))
