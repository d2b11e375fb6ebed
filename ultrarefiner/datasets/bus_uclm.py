"""BUS-UCLM: breast ultrasound images, Ciudad Real."""

from ..registry import DATASETS
from .converted_dataset import ConvertedDataset


@DATASETS.register_module()
class BUSUCLMDataset(ConvertedDataset):
    """BUS-UCLM (Vallez et al. 2025, Siemens ACUSON S2000, Mendeley Data 7fvgj4jsp7, CC BY 4.0).

    683 frames of 38 patients, 264 of them with a lesion (174 benign, 90 malignant). Few patients: folds must hold whole
    patients, and a test set is small.
    """
