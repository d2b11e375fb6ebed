"""Archives to checked datasets: converters, splits, phantoms. Needs neither torch nor mmseg."""

from .errors import DatasetError
from .manifest import ManifestRow, read_manifest
from .splits import Splits

__all__ = ['DatasetError', 'ManifestRow', 'Splits', 'read_manifest']
