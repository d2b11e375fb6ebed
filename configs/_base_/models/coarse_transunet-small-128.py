# The small TransUNet for images of 128 pixels.
_base_ = './coarse_transunet-small.py'
coarse = dict(backbone=dict(img_size=(128, 128)))
