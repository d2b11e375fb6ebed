# Late variables: {dataset}, {fold}, {data_dir}, {out_dir} and {coarse_name} in any string of a config stand for these
# values, and are filled in after --cfg-options are merged (ultrarefiner/apis/config.py).
fold = 0
data_dir = 'data'
out_dir = '.'

default_scope = 'ultrarefiner'
# A phase-1 config sets default_hooks.checkpoint.save_best to 'coarse/Dice': it has no refined masks.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='refined/Dice', rule='greater', save_last=True
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='StageVisualizationHook', tensorboard_images=4),
    best_checkpoint=dict(type='BestCheckpointHook'),
    trainable_report=dict(type='TrainableReportHook'),
    missed_validation=dict(type='MissedValidationHook'),
    sync_buffers=dict(type='SyncBuffersHook'),
    non_finite_loss=dict(type='NonFiniteLossHook'),
    memory_watch=dict(type='MemoryWatchHook'),
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
    # docs/performance.md: 'default' and 'highest' switch these off.
    cpu_allocator='keep',
    float32_matmul='fastest',
)
randomness = dict(seed=42)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
