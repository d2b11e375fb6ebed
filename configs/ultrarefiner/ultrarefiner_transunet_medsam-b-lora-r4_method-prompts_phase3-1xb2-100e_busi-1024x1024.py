# Phase 3 of the method at full size, with LoRA of rank 4 on qkv of every block of the image encoder.
_base_ = [
    '../_base_/models/coarse_transunet_r50-vit-b16.py',
    '../_base_/models/refiner_medsam_vit-b_lora-r4.py',
    '../_base_/models/prompts_method.py',
    '../_base_/phases/phase3_joint.py',
    '../_base_/schedules/adamw-cosine_100e-1e-5.py',
    '../_base_/default_runtime.py',
]
dataset = 'busi'
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(224, 224), grey=True, value_range='unit'),
    prompt_generator=_base_.prompt_generator,
    refiner=_base_.refiner,
    losses=_base_.losses,
    refine_size=(1024, 1024),
    init_from=_base_.init_from,
)
custom_hooks = [dict(type='TrainableCheckpointHook')]
