"""SAM 2.1 Hiera-T from `transformers`, image encoder frozen: 3.9 of 31.4 million parameters train.

Where there is network, this makes the folder:
hf download facebook/sam2.1-hiera-tiny --local-dir weights/sam2.1-hiera-tiny
"""

refiner = dict(
    type='TransformersRefiner',
    arch='facebook/sam2.1-hiera-tiny',
    pretrained='weights/sam2.1-hiera-tiny',
    encoder='frozen',
    selection=dict(type='ArgmaxSelection'),
)
