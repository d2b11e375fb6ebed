"""Faults: everything that is wrong with a dataset, said in one message."""

from __future__ import annotations

from ..data_preparation.errors import DatasetError

NAMES_SHOWN = 5


class Faults:
    """Collects the faults of many files, to report them together before any training starts.

    Args:
        where (str): What is being checked, such as "BUSIDataset 'train' of fold 0 at data/BUSI".
    """

    def __init__(self, where: str):
        self.where = where
        self._by_kind: dict[tuple[str, str], list[str]] = {}

    def add(self, kind: str, name: str, remedy: str) -> None:
        """Note one fault.

        Args:
            kind (str): What is wrong, such as 'no mask'.
            name (str): Which image or file, with its details.
            remedy (str): What to do about this kind.
        """
        self._by_kind.setdefault((kind, remedy), []).append(name)

    def raise_if_any(self) -> None:
        """Raise one error about all faults; do nothing if there are none.

        Raises:
            DatasetError: Names each kind, its count, its first files and its remedy.
        """
        if not self._by_kind:
            return
        lines = [f'{self.where} cannot be used:']
        for (kind, remedy), names in self._by_kind.items():
            shown = ', '.join(names[:NAMES_SHOWN]) + (', ...' if len(names) > NAMES_SHOWN else '')
            lines.append(f'  {kind} ({len(names)}): {shown}\n    -> {remedy}')
        raise DatasetError('\n'.join(lines))
