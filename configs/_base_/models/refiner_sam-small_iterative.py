"""The small SAM, whose mask and box are given to it once more."""

_base_ = './refiner_sam-small.py'
refiner = dict(
    _delete_=True,
    type='IterativeRefiner',
    refiner=_base_.refiner,
    num_iterations=2,
    box=dict(type='ThresholdBox'),
)
