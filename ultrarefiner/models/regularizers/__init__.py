"""Regularizers: losses on the weights of the model."""

from .l2_anchor import L2Anchor

__all__ = ['L2Anchor']
