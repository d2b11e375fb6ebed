"""EdgeTAM from `transformers`, image encoder frozen: 3.9 of 9.1 million parameters train. It needs the package timm.

Where there is network, this makes the folder:
hf download yonigozlan/EdgeTAM-hf --local-dir weights/EdgeTAM-hf
"""

refiner = dict(
    type='TransformersRefiner',
    arch='yonigozlan/EdgeTAM-hf',
    pretrained='weights/EdgeTAM-hf',
    encoder='frozen',
    selection=dict(type='ArgmaxSelection'),
)
