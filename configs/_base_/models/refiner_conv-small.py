# The baseline that a SAM has to beat: a U-Net of half a million weights that sees 192 pixels.
refiner = dict(type='ConvRefiner', input_size=(192, 192), width=8, depth=5, norm_groups=4)
