"""SAM ViT-H, image encoder frozen: 3.9 of 641.1 million parameters train."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_h',
    input_profile='sam',
    encoder='frozen',
    checkpoint='weights/sam_vit_h_4b8939.pth',
    selection=dict(type='ArgmaxSelection'),
)
