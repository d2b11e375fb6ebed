"""Decode heads: the decoders of coarse networks, composed by mmseg's `EncoderDecoder`."""

from .transunet_head import TransUNetHead

__all__ = ['TransUNetHead']
