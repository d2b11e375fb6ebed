"""Datasets in the layout that the converters write, and the transforms of their pipelines."""

from . import transforms
from .converted_dataset import ConvertedDataset
from .single_buffer_collate import single_buffer_collate

__all__ = ['ConvertedDataset', 'single_buffer_collate', 'transforms']
