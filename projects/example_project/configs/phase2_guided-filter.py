_base_ = '../../../configs/ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'
custom_imports = dict(imports=['guided_filter_refiner'])
model = dict(
    refiner=dict(_delete_=True, type='GuidedFilterRefiner'),
    prompt_generator=dict(_delete_=True, type='MaskPrompt'),
    # Without PredictedIoUMSE: this refiner does not say how good its masks are.
    losses=[dict(type='StageBCE', stage='refined'), dict(type='StageDice', stage='refined')],
)
