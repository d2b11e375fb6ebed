"""BUS-BRA: breast ultrasound images, Rio de Janeiro."""

from ..registry import DATASETS
from .converted_dataset import ConvertedDataset


@DATASETS.register_module()
class BUSBRADataset(ConvertedDataset):
    """BUS-BRA (Gomez-Flores et al. 2024, four scanners, Zenodo 8231412, CC BY 4.0).

    1875 images of 1064 patients, one lesion each (1268 benign, 607 malignant). A patient has left, right and repeat
    views, so folds must hold whole patients.
    """
