_base_ = '../../../configs/ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'
custom_imports = dict(imports=['guided_filter_refiner'])
model = dict(
    refiner=dict(_delete_=True, type='GuidedFilterRefiner'), prompt_generator=dict(_delete_=True, type='MaskPrompt')
)
