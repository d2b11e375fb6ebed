# The CPU family: every phase in minutes on two cores.
phases = dict(
    coarse='../transunet/transunet_small_1xb8-4e_busi-96x96.py',
    refine='../ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py',
    joint='../ultrarefiner/ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py',
)
