"""The small SAM on a crop of the original pixels around the coarse mask, of which it changes the logits."""

_base_ = './refiner_sam-small.py'
refiner = dict(
    _delete_=True,
    type='ROIRefiner',
    refiner=dict(type='ResidualRefiner', refiner=_base_.refiner, scale=1.0),
    margin=0.5,
)
