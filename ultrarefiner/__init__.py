"""Coarse-to-fine segmentation on the mmengine registry.

Read `structures/` first (what flows between the stages), then `interfaces/` (what each stage promises), then
`models/segmentors/coarse_to_fine.py` (how they are put together).
"""

__version__ = '0.1.0'
