# Phase 1 of the results (docs/results.md): the plain baseline, on both datasets.
_base_ = './unet_tiny_1xb8-amp-12e_busbra-128x128.py'
dataset = 'busi_busbra'
