"""What was merged, for people (a table, `report.md`) and for programs (`report.json`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from .grouping import cluster_sizes
from .manifest import ManifestRow
from .report import leak_figures
from .splits import Splits

SHOWN = ('images', 'train', 'test', 'folds')  # As much as a narrow terminal holds.
COLUMNS = ('dataset', 'seed', 'split', *SHOWN, 'labels')


def make_report(
    sources: Mapping[str, tuple[Sequence[ManifestRow], Splits]],
    rows: Sequence[ManifestRow],
    splits: Splits,
    pairs: Sequence[tuple[str, str]],
    across: Sequence[tuple[str, str]],
) -> dict:
    """Gather the facts of a merge.

    Args:
        sources (Mapping[str, tuple[Sequence[ManifestRow], Splits]]): Folder name to manifest and split.
        rows (Sequence[ManifestRow]): The merged manifest.
        splits (Splits): The merged split.
        pairs (Sequence[tuple[str, str]]): Names of near-duplicates.
        across (Sequence[tuple[str, str]]): Those of them that are of two sources.

    Returns:
        dict: JSON content. Nothing of the machine or the time is in it: equal sources give equal reports.
    """
    return {
        **_facts(rows, splits),
        'sources': {folder: _facts(*source) for folder, source in sources.items()},
        'flags': dict(sorted(Counter(flag for row in rows for flag in row.flags.split(';') if flag).items())),
        'groups_by_size': {str(size): count for size, count in cluster_sizes([row.group for row in rows]).items()},
        'near_duplicate_pairs': len(pairs),
        'near_duplicate_pairs_across_sources': [list(pair) for pair in across],
        'leak_of_this_split': leak_figures(splits, pairs),
    }


def _facts(rows: Sequence[ManifestRow], splits: Splits) -> dict:
    return {
        'dataset': splits.dataset,
        'protocol': splits.protocol,
        'seed': splits.seed,
        'splits_sha256': splits.digest,
        'images': len(rows),
        'labels': dict(sorted(Counter(row.label for row in rows).items())),
        'train': len(splits.train),
        'test': len(splits.test),
        'folds': [len(fold) for fold in splits.folds],
    }


def as_markdown(report: Mapping) -> str:
    """The report for people."""
    lines = [f'# {report["dataset"]}: merged from {", ".join(report["sources"])}', '']
    lines += [f'Protocol `{report["protocol"]}`, seed {report["seed"]}, split `{report["splits_sha256"][:12]}`.', '']
    lines += [f'| source | {" | ".join(COLUMNS)} |', '|---' * (len(COLUMNS) + 1) + '|']
    lines += [f'| {" | ".join(cells)} |' for cells in _table_rows(report, COLUMNS)]
    lines += ['', '## Groups and leaks', '', *(f'- {line}' for line in leak_lines(report))]
    lines += [f'  - {one} and {other}' for one, other in report['near_duplicate_pairs_across_sources']]
    lines += ['', '## Flags', '']
    lines += [f'- `{flag}`: {count}' for flag, count in report['flags'].items()] or ['None.']
    return '\n'.join(lines) + '\n'


def print_report(report: Mapping, console: Console) -> None:
    """Print what was merged, and the leaks."""
    table = Table(
        'source', *SHOWN, title=f'{report["dataset"]}: merged from {len(report["sources"])}', title_justify='left'
    )
    for cells in _table_rows(report, SHOWN):
        table.add_row(*cells)
    console.print(table)
    for line in leak_lines(report):
        console.print(line, markup=False)


def leak_lines(report: Mapping) -> list[str]:
    """Groups and leaks in words; last, what is across the sources."""
    sizes = ', '.join(f'{count} of {size}' for size, count in report['groups_by_size'].items())
    leak = report['leak_of_this_split']
    return [
        f'groups by number of images: {sizes}',
        f'near-duplicate pairs: {report["near_duplicate_pairs"]}; the split ({report["protocol"]}) puts '
        f'{leak["pairs_on_both_sides"]} of them on both sides',
        f'near-duplicate pairs across the sources: {len(report["near_duplicate_pairs_across_sources"])}',
    ]


def _table_rows(report: Mapping, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """A row for each source, and one for all together."""
    rows = []
    for title, facts in (*report['sources'].items(), ('all', report)):
        labels = ', '.join(f'{count} {label}' for label, count in facts['labels'].items())
        folds = ', '.join(map(str, facts['folds']))
        cells = {**facts, 'split': f'`{facts["splits_sha256"][:12]}`', 'labels': labels, 'folds': folds}
        rows.append((title, *(str(cells[column]) for column in columns)))
    return rows
