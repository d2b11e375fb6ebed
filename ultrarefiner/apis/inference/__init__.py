"""Images in, masks out: what `tools/predict.py` is made of."""
