# Phase 3 of the results (docs/results.md) on both datasets.
_base_ = './ultrarefiner_transunet-small_transunet-small-roi_soft-prompts_phase3-guarded-1xb4-amp-4e_busi-128x128.py'
dataset = 'busi_busbra'
