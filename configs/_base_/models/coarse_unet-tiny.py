# The plain baseline of the small TransUNet: mmseg's UNet with 8 channels at full resolution, 0.45 million parameters,
# whose training step takes as long.
_base_ = './coarse_unet-small.py'
coarse = dict(backbone=dict(base_channels=8), decode_head=dict(in_channels=8, channels=8))
