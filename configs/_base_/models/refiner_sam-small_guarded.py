"""The small SAM, whose mask is kept out in testing where it is not to be believed; a guard can be calibrated."""

_base_ = './refiner_sam-small.py'
refiner = dict(_delete_=True, type='GuardedRefiner', refiner=_base_.refiner)
