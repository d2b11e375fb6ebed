# Phase 2 of the method at full size, with LoRA of rank 4 on qkv of every block of the image encoder.
_base_ = [
    '../_base_/models/refiner_medsam_vit-b_lora-r4.py',
    '../_base_/models/prompts_method.py',
    '../_base_/phases/phase2_refine.py',
    '../_base_/schedules/adamw-cosine_100e-1e-4.py',
    '../_base_/default_runtime.py',
]
dataset = ['busi', 'busbra', 'bus', 'bus_uc', 'bus_uclm']
model = dict(
    type='CoarseToFine',
    coarse=_base_.coarse,
    coarse_input=dict(size=(224, 224), grey=True, value_range='unit'),
    prompt_generator=_base_.prompt_generator,
    refiner=_base_.refiner,
    losses=_base_.losses,
    refine_size=(1024, 1024),
)
custom_hooks = [dict(type='TrainableCheckpointHook')]
