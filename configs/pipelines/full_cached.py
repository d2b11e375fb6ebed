# The method at full size, MedSAM's embeddings kept on disk: phases 2 and 3 encode each view of an image once.
phases = dict(
    coarse='../transunet/transunet_r50-vit-b16_1xb24-150e_busi-224x224.py',
    refine='../ultrarefiner/ultrarefiner_medsam-b_method-prompts_phase2-cached-1xb4-100e_bus5-1024x1024.py',
    joint='../ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-cached-1xb2-100e_busi-1024x1024.py',
)
