# Phase 3 of the CPU family with everything that keeps the coarse network from falling apart. Each line works alone.
_base_ = ['./ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py']
work_dir = '{out_dir}/checkpoints/ultrarefiner_guarded/{dataset}/fold_{fold}'
model = dict(
    # Half of the refined loss's gradient reaches the coarse network; its own loss is not scaled.
    coarse_gradient_scale=0.5,
    # Pulls its weights back to those of phase 1.
    regularizers=[dict(type='L2Anchor', loss_weight=1e-3)],
    # What the refiner spoils of a good coarse mask costs extra.
    losses=[*_base_.losses, dict(type='ChangePenalty', stage='refined', loss_weight=0.5)],
)
custom_hooks = [
    # The coarse network waits for the refiner, and keeps the statistics of phase 1 throughout.
    dict(type='StagedUnfreezeHook', parts=['coarse'], epochs=1),
    dict(type='FrozenNormHook', parts=['coarse']),
    # Weights averaged over about 1 / momentum steps are validated, and are those in best.pth.
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.02),
    dict(type='RestoreCoarseHook', tolerance=0.02),
]
# Freezing for a while needs it in distributed training.
find_unused_parameters = True
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=1, T_max=1, end=2, by_epoch=True, convert_to_iter_based=True),
]
