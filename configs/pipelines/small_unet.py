# The CPU family with UNet as the coarse network. Phase 2 is the same for every coarse network.
phases = dict(
    coarse='../unet/unet_small_1xb8-4e_busi-96x96.py',
    refine='../ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py',
    joint='../ultrarefiner/ultrarefiner_unet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py',
)
