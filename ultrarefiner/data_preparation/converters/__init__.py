"""One converter a dataset."""

from .base import BaseConverter, Collection, Expected, Fault, Sample
from .bus import BUSConverter
from .bus_uc import BUSUCConverter
from .bus_uclm import BUSUCLMConverter
from .busbra import BUSBRAConverter
from .busi import BUSIConverter
from .generic import CocoConverter, FolderConverter

__all__ = [
    'BUSBRAConverter',
    'BUSConverter',
    'BUSIConverter',
    'BUSUCConverter',
    'BUSUCLMConverter',
    'BaseConverter',
    'CocoConverter',
    'Collection',
    'Expected',
    'Fault',
    'FolderConverter',
    'Sample',
]
