"""No refiner: the coarse mask as it is. For phase 3 and testing; phase 2 would find nothing in it to train."""

refiner = dict(type='IdentityRefiner')
