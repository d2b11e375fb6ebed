"""SAM ViT-L, image encoder frozen: 3.9 of 312.3 million parameters train."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_l',
    input_profile='sam',
    encoder='frozen',
    checkpoint='weights/sam_vit_l_0b3195.pth',
    selection=dict(type='ArgmaxSelection'),
)
