# Phase 2 of the method at full size, with MedSAM's embeddings kept on disk: each image is encoded once in each of its
# four views, for all epochs, folds and runs. tools/precompute_embeddings.py can do so before the training.
#
# An embedding takes 2 MiB. The five datasets have about 3,000 training images: all folds together need 23 GiB for their
# views and 6 GiB for validation. One fold of busi alone needs 3.5 GiB.
_base_ = './ultrarefiner_medsam-b_method-prompts_phase2-1xb4-100e_bus5-1024x1024.py'

# The two transforms before the last are the random ones.
train_pipeline = [
    *_base_.train_pipeline[:-3],
    dict(type='FixedViews', views=4, transforms=_base_.train_pipeline[-3:-1]),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='DatasetEpochHook')]
model = dict(embedding_cache=dict(folder='{data_dir}/embeddings', max_size_gib=40))
