"""SAM ViT-B, image encoder frozen: 3.9 of 93.7 million parameters train."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_b',
    input_profile='sam',
    encoder='frozen',
    checkpoint='weights/sam_vit_b_01ec64.pth',
    selection=dict(type='ArgmaxSelection'),
)
