# Phase 3 of the method at full size, with MedSAM's embeddings kept on disk: its image encoder is frozen here too, and
# what phase 2 has encoded is found. The coarse network sees the same four views of each image.
_base_ = './ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py'

# The two transforms before the last are the random ones.
train_pipeline = [
    *_base_.train_pipeline[:-3],
    dict(type='FixedViews', views=4, transforms=_base_.train_pipeline[-3:-1]),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [dict(type='DatasetEpochHook')]
model = dict(embedding_cache=dict(folder='{data_dir}/embeddings', max_size_gib=40))
