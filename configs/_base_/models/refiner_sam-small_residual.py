"""The small SAM, whose logits are what it changes of the coarse ones: it starts near the coarse mask."""

_base_ = './refiner_sam-small.py'
refiner = dict(_delete_=True, type='ResidualRefiner', refiner=_base_.refiner)
