"""MedSAM ViT-B, with its own input normalisation, image encoder frozen."""

refiner = dict(
    type='SAMRefiner',
    arch='vit_b',
    input_profile='medsam',
    encoder='frozen',
    checkpoint='weights/medsam_vit_b.pth',
    selection=dict(type='ArgmaxSelection'),
)
