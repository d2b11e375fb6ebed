"""The convolutional baseline on a crop of the original pixels around the coarse mask."""

_base_ = './refiner_conv-small.py'
refiner = dict(_delete_=True, type='ROIRefiner', refiner=_base_.refiner, margin=0.5)
