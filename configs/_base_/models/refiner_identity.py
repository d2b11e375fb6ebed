"""No refiner: the coarse mask as it is. For phase 3 and for testing; there is nothing in it that phase 2 could train."""

refiner = dict(type='IdentityRefiner')
