# The method at full size: TransUNet R50-ViT-B_16 and MedSAM ViT-B with a frozen image encoder.
phases = dict(
    coarse='../transunet/transunet_r50-vit-b16_1xb24-150e_busi-224x224.py',
    refine='../ultrarefiner/ultrarefiner_medsam-b_method-prompts_phase2-1xb4-100e_bus5-1024x1024.py',
    joint='../ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py',
)
