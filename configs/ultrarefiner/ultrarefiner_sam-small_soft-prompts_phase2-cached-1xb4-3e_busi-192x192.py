# Phase 2 of the CPU family with a frozen image encoder, whose embeddings are kept on disk: each image is encoded once
# in each of its views, for all epochs, folds and runs. tools/precompute_embeddings.py can do so before the training.
# Here the encoder has random weights: it shows how, and not how well.
_base_ = './ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'

# The two transforms before the last are the random ones.
train_pipeline = [
    *_base_.train_pipeline[:-3],
    dict(type='FixedViews', views=2, transforms=_base_.train_pipeline[-3:-1]),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='DatasetEpochHook')]
model = dict(refiner=dict(encoder='frozen'), embedding_cache=dict(folder='{data_dir}/embeddings', max_size_gib=2))
