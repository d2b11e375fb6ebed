# Phase 1 of the results (docs/results.md): one network for both datasets.
_base_ = './transunet_small_1xb8-amp-12e_busbra-128x128.py'
dataset = 'busi_busbra'
