# Phase 2 of the CPU family on masks that another program made, of training and test images alike: one .npy or .png an
# image, named like it. None may come from a network that saw the image: that is for you to see to.
#
# A .npy holds probabilities, (H, W), or (K, H, W) for K classes (with model.coarse.num_slots=K); a .png the grey values
# 0 to 255 of one class; or labels, with coarse_label_map={0: 0, 1: 1, 2: 2} beside require_proof.
_base_ = './ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'

masks = dict(coarse_dir='{data_dir}/{dataset}/coarse', require_proof=False)
train_dataloader = dict(dataset=masks)
val_dataloader = dict(dataset=masks)
test_dataloader = dict(dataset=dict(subset='test', **masks))
# No network reads this: it is the size at which the masks are handed on, and measured.
model = dict(coarse_input=dict(size=(384, 384)))
