"""SAM ViT-B with LoRA of rank 4 on q and on v of every block, as SAMed adapts it: 147,456 parameters more train."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_b',
    input_profile='sam',
    encoder=dict(type='QKVLoRAAdapter', parts=('q', 'v'), r=4, lora_alpha=4.0, lora_dropout=0.0),
    checkpoint='weights/sam_vit_b_01ec64.pth',
    selection=dict(type='ArgmaxSelection'),
)
