"""The small SAM, whose logits are what it changes of the coarse ones: it starts near the coarse mask.

Of random weights the logits are small (0.02), so they are added as they are; those of a trained SAM want scale=0.1.
"""

_base_ = './refiner_sam-small.py'
refiner = dict(_delete_=True, type='ResidualRefiner', refiner=_base_.refiner, scale=1.0)
