"""BUS: UDIAT Dataset B, Sabadell."""

from ..registry import DATASETS
from .converted_dataset import ConvertedDataset


@DATASETS.register_module()
class BUSDataset(ConvertedDataset):
    """BUS, that is UDIAT Dataset B (Yap et al. 2018, Siemens ACUSON Sequoia C512), on request from its authors.

    163 images, one a patient (109 benign, 54 malignant). The 562 images that are sometimes listed under this name are
    another dataset, BUSIS.
    """
