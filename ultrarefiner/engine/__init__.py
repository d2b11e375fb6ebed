"""Engine: what happens around the model while it trains."""

from . import hooks
from .amp_optim_wrapper import AmpOptimWrapper

__all__ = ['AmpOptimWrapper', 'hooks']
