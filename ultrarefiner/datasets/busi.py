"""BUSI: breast ultrasound images, Cairo."""

from ..registry import DATASETS
from .converted_dataset import ConvertedDataset


@DATASETS.register_module()
class BUSIDataset(ConvertedDataset):
    """Breast Ultrasound Images (Al-Dhabyani et al. 2020, GE LOGIQ E9).

    647 images with a lesion (437 benign, 210 malignant); 133 normal ones are left out. 17 images have more than one
    mask, which the converter unites. No patient identifiers, and many near-duplicates: keep those in one fold. Public;
    the licence depends on where it is downloaded (CC0 or other).
    """
