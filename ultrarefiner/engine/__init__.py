"""Engine: what happens around the model while it trains."""

from . import hooks

__all__ = ['hooks']
