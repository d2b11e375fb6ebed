"""All pages that are made of the collected runs: what they should hold, and which of them do not."""

from __future__ import annotations

from pathlib import Path

from .families import family_pages
from .page import Results, render
from .runs import StoredRuns

PAGE, FOLDER, TEMPLATE, RUNS = 'docs/results.md', 'docs/results', 'template.md', 'runs'


def results_of(root: str | Path) -> Results:
    """What the pages of a checkout are made of."""
    folder = Path(root) / FOLDER
    return Results(StoredRuns(folder / RUNS), folder)


def pages(root: str | Path, results: Results) -> dict[Path, str]:
    """What each page should hold.

    Args:
        root (str | Path): Of a checkout of the project.
        results (Results): Of `results_of`.

    Raises:
        FileNotFoundError: If the template or a family's page is missing.
        ValueError: If a marker of the template is wrong, or a collected file is damaged.
    """
    root = Path(root)
    page = render((root / FOLDER / TEMPLATE).read_text(encoding='utf-8'), results)
    return {root / PAGE: page, **family_pages(results.runs, root / 'configs')}


def outdated(wanted: dict[Path, str]) -> list[Path]:
    """The pages that do not hold what they should."""
    return [page for page, text in wanted.items() if not page.is_file() or page.read_text(encoding='utf-8') != text]
