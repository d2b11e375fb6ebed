"""Datasets: one file each, all in the layout that the converters write."""

from . import transforms
from .bus import BUSDataset
from .bus_uc import BUSUCDataset
from .bus_uclm import BUSUCLMDataset
from .busbra import BUSBRADataset
from .busi import BUSIDataset
from .converted_dataset import ConvertedDataset

__all__ = [
    'BUSBRADataset',
    'BUSDataset',
    'BUSIDataset',
    'BUSUCDataset',
    'BUSUCLMDataset',
    'ConvertedDataset',
    'transforms',
]
