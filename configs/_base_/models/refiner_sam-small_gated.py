"""The small SAM behind a learned gate, which starts near the coarse mask and opens where the refined one is better."""

_base_ = './refiner_sam-small.py'
refiner = dict(
    _delete_=True,
    type='GatedRefiner',
    refiner=_base_.refiner,
    gate=dict(type='LearnedGate', size=(192, 192)),
)
