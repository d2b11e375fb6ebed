"""The error that a user's data raises."""

from __future__ import annotations

from collections.abc import Sequence


class DatasetError(ValueError):
    """Something in a user's files that must be mended before work goes on; the message says what, where and how."""


def raise_faults(where: str, faults: Sequence[str], remedy: str, shown: int = 20) -> None:
    """Raise every fault found in one message, so that a user mends them in one go.

    Args:
        where (str): The file or folder that the faults are in.
        faults (Sequence[str]): One line a fault; nothing happens if there is none.
        remedy (str): What to do about them.
        shown (int): How many faults the message spells out. Defaults to 20.

    Raises:
        DatasetError: If there is any fault.
    """
    if not faults:
        return
    lines = [f'{where}: {len(faults)} fault{"s" if len(faults) > 1 else ""} found.']
    lines += [f'  - {fault}' for fault in faults[:shown]]
    if len(faults) > shown:
        lines.append(f'  - and {len(faults) - shown} more')
    lines.append(remedy)
    raise DatasetError('\n'.join(lines))
