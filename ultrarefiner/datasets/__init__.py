"""Datasets in the layout that the converters write, and the transforms of their pipelines."""

import contextlib
import io

# mmseg prints, at each first import, that an optional package of its maintainers is absent.
with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from . import transforms
from .converted_dataset import ConvertedDataset
from .single_buffer_collate import single_buffer_collate

__all__ = ['ConvertedDataset', 'single_buffer_collate', 'transforms']
