"""SAM-HQ ViT-B from `transformers`, image encoder frozen: 5.0 of 94.8 million parameters train.

Where there is network, this makes the folder:
hf download syscv-community/sam-hq-vit-base --local-dir weights/sam-hq-vit-base
"""

refiner = dict(
    type='TransformersRefiner',
    arch='syscv-community/sam-hq-vit-base',
    pretrained='weights/sam-hq-vit-base',
    encoder='frozen',
    selection=dict(type='ArgmaxSelection'),
)
