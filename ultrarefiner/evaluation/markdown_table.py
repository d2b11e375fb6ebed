"""A table as GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(heads: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """Write a table, the first columns to the left and the others to the right.

    Args:
        heads (Sequence[str]): One a column.
        body (Sequence[Sequence[str]]): The rows, a text for each column; a bar in it is escaped.
        left (int): How many columns are to the left. Defaults to 1.

    Returns:
        str: Its lines, without a newline at the end.
    """
    rule = ['---'] * left + ['---:'] * (len(heads) - left)
    rows = [heads, rule, *([cell.replace('|', r'\|') for cell in row] for row in body)]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)
