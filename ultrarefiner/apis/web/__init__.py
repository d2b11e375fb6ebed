"""A page to try a model: what `tools/demo/web.py` is made of."""
