"""The small SAM 2, whose logits are what it changes of the coarse ones."""

_base_ = './refiner_sam2-small.py'
refiner = dict(_delete_=True, type='ResidualRefiner', refiner=_base_.refiner, scale=1.0)
