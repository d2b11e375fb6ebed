"""MedSAM ViT-B with LoRA of rank 4 on every qkv of the image encoder: 147,456 parameters more train."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_b',
    input_profile='medsam',
    encoder=dict(type='LoRAAdapter', target_modules=r'blocks\.\d+\.attn\.qkv', r=4, lora_alpha=4.0, lora_dropout=0.0),
    checkpoint='weights/medsam_vit_b.pth',
    selection=dict(type='ArgmaxSelection'),
)
