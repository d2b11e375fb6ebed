"""Datasets in the layout that the converters write, and the transforms of their pipelines."""

from . import transforms
from .converted_dataset import ConvertedDataset

__all__ = ['ConvertedDataset', 'transforms']
