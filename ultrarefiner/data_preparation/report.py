"""What a conversion found, left out and drew: for people (a table, `report.md`) and for programs (`report.json`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .converters.base import Collection
from .grouping import cluster_sizes
from .manifest import ManifestRow
from .splits import Splits, shared_groups

QUANTITIES = ('images', 'lesion images', 'benign', 'malignant', 'normal', 'patients', 'train', 'test')


def make_report(
    collection: Collection,
    rows: Sequence[ManifestRow],
    splits: Splits,
    plain: Splits,
    pairs: Sequence[tuple[str, str]],
    found_labels: Mapping[str, int],
) -> dict:
    """Gather the facts of a conversion.

    Args:
        collection (Collection): What was in the archive.
        rows (Sequence[ManifestRow]): What was converted.
        splits (Splits): The split that was written.
        plain (Splits): The method's plain random split with the same seed, for comparison.
        pairs (Sequence[tuple[str, str]]): Names of near-duplicates.
        found_labels (Mapping[str, int]): Images in the archive by label, blank masks included.

    Returns:
        dict: JSON content. Nothing of the machine or the time is in it: equal archives give equal reports.
    """
    left_out = {
        reason: sorted(map(collection.relative, names)) for reason, names in sorted(collection.left_out.items())
    }
    found = {
        **found_labels,
        'images': len(rows) + sum(map(len, left_out.values())),
        'lesion images': len(rows),
        'train': len(splits.train),
        'test': len(splits.test),
    }
    if any(row.patient for row in rows):
        found['patients'] = len({row.patient for row in rows})
    quantities = [*QUANTITIES, *sorted(set(found) - set(QUANTITIES))]
    counts = {
        quantity: {
            'method': collection.expected.method.get(quantity),
            'published': collection.expected.published.get(quantity),
            'found': found.get(quantity),
        }
        for quantity in quantities
    }
    return {
        'dataset': collection.dataset,
        'protocol': splits.protocol,
        'seed': splits.seed,
        'splits_sha256': splits.digest,
        'counts': {quantity: row for quantity, row in counts.items() if any(v is not None for v in row.values())},
        'left_out': left_out,
        'flags': dict(sorted(Counter(flag for row in rows for flag in row.flags.split(';') if flag).items())),
        'groups_by_size': {str(size): count for size, count in cluster_sizes([row.group for row in rows]).items()},
        'near_duplicate_pairs': len(pairs),
        'leak_of_a_plain_random_split': leak_figures(plain, pairs),
        'leak_of_this_split': leak_figures(splits, pairs),
        'folds': [len(fold) for fold in splits.folds],
        'notes': list(collection.notes),
    }


def leak_figures(splits: Splits, pairs: Sequence[tuple[str, str]]) -> dict:
    """How much of the test set is known from training.

    Args:
        splits (Splits): The split.
        pairs (Sequence[tuple[str, str]]): Names of near-duplicates.

    Returns:
        dict: Near-duplicate pairs with one image in train and the other in test, and their share of all pairs; test
        images with a near-duplicate in train, and test images of a group that is also in train, each with its share of
        the test set.
    """
    test = set(splits.test)
    across = [pair for pair in pairs if (pair[0] in test) != (pair[1] in test)]
    copied = {name for pair in across for name in pair if name in test}
    shared = shared_groups(splits.groups, splits.train, splits.test)
    grouped = [name for name in splits.test if splits.groups[name] in shared]
    return {
        'pairs_on_both_sides': len(across),
        'share_of_pairs': round(len(across) / max(len(pairs), 1), 4),
        'test_images_with_near_duplicate_in_train': len(copied),
        'share_of_test_by_near_duplicate': round(len(copied) / len(test), 4),
        'test_images_of_a_training_group': len(grouped),
        'share_of_test_by_group': round(len(grouped) / len(test), 4),
    }


def write_report(folder: Path, report: Mapping, page: str) -> None:
    """Write `report.json`, and `report.md` with the page that tells the same to people."""
    text = json.dumps(report, indent=1, ensure_ascii=True)
    (folder / 'report.json').write_text(text + '\n', encoding='utf-8', newline='\n')
    (folder / 'report.md').write_text(page, encoding='utf-8', newline='\n')


def as_markdown(report: Mapping) -> str:
    """The report for people."""
    lines = [f'# {report["dataset"]}: conversion report', '']
    lines += [f'Protocol `{report["protocol"]}`, seed {report["seed"]}, split `{report["splits_sha256"][:12]}`.', '']
    lines += ['| quantity | method says | published | found |', '|---|---|---|---|']
    lines += [f'| {" | ".join(cells)} |' for cells in _count_rows(report)]
    lines += ['', '## Left out', '']
    for reason, names in report['left_out'].items():
        lines += [f'- **{reason}**: {len(names)}', *(f'  - {name}' for name in names)]
    lines += [] if report['left_out'] else ['Nothing.']
    lines += ['', '## Groups and leaks', '', *(f'- {line}' for line in leak_lines(report))]
    lines += ['', '## Flags', '']
    lines += [f'- `{flag}`: {count}' for flag, count in report['flags'].items()] or ['None.']
    lines += ['', '## Notes', '', *(f'- {note}' for note in report['notes'])]
    return '\n'.join(lines) + '\n'


def print_report(report: Mapping, console: Console) -> None:
    """Print expected against found, what was left out, and the leaks."""
    table = Table('quantity', title=f'{report["dataset"]}: expected against found', title_justify='left')
    for title in ('method says', 'published', 'found'):
        table.add_column(title, justify='right')
    for quantity, method, published, found in _count_rows(report):
        differs = found != '-' and any(value not in ('-', found) for value in (method, published))
        table.add_row(quantity, method, published, found, style='yellow' if differs else None)
    console.print(table)
    for reason, names in report['left_out'].items():
        console.print(f'left out, {reason}: {len(names)}', markup=False)
    for line in (*leak_lines(report), *report['notes']):
        console.print(line, markup=False)


def leak_lines(report: Mapping) -> list[str]:
    """Groups and leaks in words."""
    sizes = ', '.join(f'{count} of {size}' for size, count in report['groups_by_size'].items())
    pairs = report['near_duplicate_pairs']
    lines = [f'groups by number of images: {sizes}', f'near-duplicate pairs: {pairs}']
    plain, this = report['leak_of_a_plain_random_split'], report['leak_of_this_split']
    for title, leak in (('a plain random split', plain), (f'this split ({report["protocol"]})', this)):
        lines.append(
            f'{title} puts {leak["pairs_on_both_sides"]} of {pairs} near-duplicate pairs on both sides '
            f'({leak["share_of_pairs"]:.1%}), and {leak["test_images_of_a_training_group"]} test images '
            f'({leak["share_of_test_by_group"]:.1%}) share their group with a training image'
        )
    return lines


def _count_rows(report: Mapping) -> list[tuple[str, str, str, str]]:
    return [
        (quantity, *('-' if row[key] is None else str(row[key]) for key in ('method', 'published', 'found')))
        for quantity, row in report['counts'].items()
    ]
