"""BUS_UC: breast ultrasound images of Mendeley Data 3ksd7w7jkx."""

from ..registry import DATASETS
from .converted_dataset import ConvertedDataset


@DATASETS.register_module()
class BUSUCDataset(ConvertedDataset):
    """BUS_UC (Mendeley Data 3ksd7w7jkx, version 1; see there for the licence).

    811 images (358 benign, 453 malignant), no patient identifiers. Its folder ``All`` repeats ``Benign`` and
    ``Malignant``.
    """
