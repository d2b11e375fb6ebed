"""What a merged dataset was made of."""

from __future__ import annotations

import json
from pathlib import Path


def merged_splits(folder: str | Path) -> dict[str, str]:
    """The datasets that a converted dataset was merged of, as `merge` says in its report.

    Args:
        folder (str | Path): Of the converted dataset.

    Returns:
        dict[str, str]: Name to hash of the split; empty for a dataset that was not merged, or has no readable report.
    """
    try:
        sources = json.loads((Path(folder) / 'report.json').read_text(encoding='utf-8'))['sources']
        return {source['dataset']: source['splits_sha256'] for source in sources.values()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
