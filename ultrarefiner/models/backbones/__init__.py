"""Backbones: the encoders of coarse networks, composed by mmseg's `EncoderDecoder`."""

from .transunet_backbone import TransUNetBackbone

__all__ = ['TransUNetBackbone']
