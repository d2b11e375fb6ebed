"""One converted dataset of several, so that one network is trained on all of them; what was held out stays held out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from .conversion import SAFE_NAME, duplicate_flags
from .destination import check_destination, written_beside
from .errors import DatasetError, raise_faults
from .grouping import assign_groups, duplicate_pairs
from .manifest import ManifestRow, read_manifest, write_manifest
from .merge_report import as_markdown, make_report
from .merged_splits import merged_splits
from .report import write_report
from .splits import Splits
from .verification import check_split, verify


@dataclass(frozen=True)
class Source:
    """One of the datasets.

    Args:
        folder (Path): Absolute; its name goes before the names of images, groups and patients.
        rows (Sequence[ManifestRow]): Its manifest.
        splits (Splits): Its split.
    """

    folder: Path
    rows: Sequence[ManifestRow]
    splits: Splits

    @classmethod
    def read(cls, folder: Path) -> Source:
        """Read and check what a converter wrote, but for the pixels.

        Raises:
            DatasetError: If manifest or split are absent, malformed, or disagree, the folder's name is not safe in a
                file name, or it was merged itself.
        """
        if not SAFE_NAME.fullmatch(folder.name):
            raise DatasetError(
                f'{folder}: its name goes before the names of its images, where {folder.name!r} is not safe; rename '
                'the folder with letters, digits, ".", "_" and "-" alone.'
            )
        parts = merged_splits(folder)
        if parts:  # A checkpoint says what it was trained on by the datasets that a merged one names, one level deep.
            raise DatasetError(f'{folder}: was merged of {", ".join(parts)}; merge the folders of these in one go.')
        rows, splits = read_manifest(folder / 'manifest.csv'), Splits.load(folder / 'splits.json')
        raise_faults(
            str(folder),
            [str(finding) for finding in check_split(rows, splits)],
            'Restore its manifest.csv and splits.json, or convert the dataset again.',
        )
        return cls(folder, rows, splits)

    def renamed(self, names: Iterable[str]) -> list[str]:
        """The names with the folder's before them; '' (an unknown patient) stays ''."""
        return [name and f'{self.folder.name}_{name}' for name in names]


def merge(
    sources: Sequence[str | Path],
    destination: str | Path,
    name: str | None = None,
    overwrite: bool = False,
    track: Callable[[Sequence, str], Iterable] = lambda jobs, title: jobs,
) -> dict:
    """Make one converted dataset of several.

    An image `benign_0001` of `data/busi` becomes `busi_benign_0001`, its patient and its group likewise. Fold k has the
    folds k of all, the test set all test sets. The order of the sources does not matter.

    Args:
        sources (Sequence[str | Path]): Folders that converters wrote, two or more.
        destination (str | Path): Folder to write; absent or empty, or with ``overwrite`` an earlier conversion.
        name (str, optional): Of the dataset. Defaults to the destination's.
        overwrite (bool): Whether an earlier conversion is replaced. Defaults to False.
        track (Callable): Wraps a list of work, given with its title, to show progress. Defaults to none shown.

    Returns:
        dict: The report.

    Raises:
        DatasetError: If the datasets do not fit together, one is not sound, an image is held out of one that is also in
            training in another, or the destination may not be written; nothing is written then.
    """
    # Absolute, so that '.' has a name and a parent.
    destination = Path(os.path.abspath(destination))
    folders = sorted((Path(os.path.abspath(source)) for source in sources), key=lambda folder: folder.name)
    name = destination.name if name is None else name
    if not SAFE_NAME.fullmatch(name):
        raise DatasetError(f'{name!r} is not safe as the name of a dataset; give another with --name.')
    _check_folders(folders)
    for folder in folders:
        check_destination(folder, destination, overwrite)
    read = [Source.read(folder) for folder in folders]
    _check_protocols(read)
    _check_datasets(name, read)
    _check_clashes(read)

    rows, files = _rename(name, read)
    splits = _unite(name, read, rows)
    pairs = duplicate_pairs([row.patient for row in rows], [row.dhash for row in rows])
    across = [(i, j) for i, j in pairs if _folder_of(rows[i]) != _folder_of(rows[j])]
    if splits.protocol == 'grouped':
        _check_leak(destination, rows, splits, across)
    rows, splits = _regroup(rows, splits, across)
    report = make_report(
        {source.folder.name: (source.rows, source.splits) for source in read},
        rows,
        splits,
        [(rows[i].name, rows[j].name) for i, j in pairs],
        [(rows[i].name, rows[j].name) for i, j in across],
    )
    with written_beside(destination) as work:
        _copy(files, work, lambda jobs: track(jobs, f'copying {destination.name}'))
        write_manifest(work / 'manifest.csv', rows)
        splits.save(work / 'splits.json')
        write_report(work, report, as_markdown(report))
        raise_faults(
            str(destination),
            [str(finding) for finding in verify(work, lambda jobs: track(jobs, f'checking {destination.name}'))],
            'tools/misc/verify_dataset.py finds these files in their dataset; restore them, or convert it again.',
        )
    return report


def _check_folders(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise DatasetError(f'{len(folders)} dataset to merge, expected two or more.')
    for one, other in combinations(folders, 2):
        if one.resolve() == other.resolve():
            raise DatasetError(f'{one} and {other} are one folder; give each dataset once.')
        # Without regard to case, as on the file systems of Windows and macOS.
        if one.name.lower() == other.name.lower():
            raise DatasetError(
                f'{one} and {other} have the same folder name, which is to tell their images apart; rename one of them.'
            )


def _check_protocols(sources: Sequence[Source]) -> None:
    first = sources[0]
    for source in sources[1:]:
        for option, one, other in (
            ('--protocol', first.splits.protocol, source.splits.protocol),
            ('--folds', first.splits.n_folds, source.splits.n_folds),
        ):
            if one != other:
                raise DatasetError(
                    f'{first.folder} was converted with {option} {one}, {source.folder} with {option} {other}; convert '
                    f'one again with the same {option}.'
                )


def _check_datasets(name: str, sources: Sequence[Source]) -> None:
    """Checkpoints tell datasets apart by their names."""
    first: dict[str, Source] = {}
    for source in sources:
        dataset = source.splits.dataset
        other = first.setdefault(dataset, source)
        if other is not source:
            raise DatasetError(
                f'{other.folder} and {source.folder} both hold a dataset {dataset!r}; convert one again with --name '
                '(generic.py), or leave one out.'
            )
        if dataset == name:
            raise DatasetError(
                f'the merged dataset would be called {name!r}, as that in {source.folder} is; give another with --name.'
            )


def _check_clashes(sources: Sequence[Source]) -> None:
    """Image `b_c` of folder `a` and image `c` of folder `a_b` would have one name; patients and groups likewise."""
    for kind in ('name', 'patient', 'group'):
        first: dict[str, Source] = {}
        for source in sources:
            for new in source.renamed({getattr(row, kind): None for row in source.rows if getattr(row, kind)}):
                other = first.setdefault(new.lower(), source)
                if other is not source:
                    raise DatasetError(
                        f'{other.folder} and {source.folder} would both have the {kind} {new!r}; rename one of the '
                        'folders.'
                    )


def _unite(name: str, sources: Sequence[Source], rows: Sequence[ManifestRow]) -> Splits:
    seeds = {source.splits.seed for source in sources}
    return Splits(
        dataset=name,
        protocol=sources[0].splits.protocol,
        seed=seeds.pop() if len(seeds) == 1 else 0,
        train=sorted(new for source in sources for new in source.renamed(source.splits.train)),
        test=sorted(new for source in sources for new in source.renamed(source.splits.test)),
        folds=[
            sorted(new for source in sources for new in source.renamed(source.splits.folds[k]))
            for k in range(sources[0].splits.n_folds)
        ],
        groups={row.name: row.group for row in rows},
    )


def _rename(dataset: str, sources: Sequence[Source]) -> tuple[list[ManifestRow], dict[str, Path]]:
    """The merged manifest, in order of the names, and for every file in it the one to copy."""
    rows, files = [], {}
    for source in sources:
        folder = source.folder.name
        for row in source.rows:
            name, patient, group = source.renamed((row.name, row.patient, row.group))
            renamed = replace(
                row,
                dataset=dataset,
                name=name,
                patient=patient,
                group=group,
                image=f'{row.split}/images/{name}.png',
                mask=f'{row.split}/masks/{name}.png',
                source=f'{folder}/{row.source}',
                mask_source=';'.join(f'{folder}/{mask}' for mask in row.mask_source.split(';') if mask),
            )
            rows.append(renamed)
            files |= {renamed.image: source.folder / row.image, renamed.mask: source.folder / row.mask}
    return sorted(rows, key=lambda row: row.name), files


def _folder_of(row: ManifestRow) -> str:
    return row.source.partition('/')[0]


def _check_leak(
    destination: Path, rows: Sequence[ManifestRow], splits: Splits, across: Sequence[tuple[int, int]]
) -> None:
    sides = splits.sides
    faults = [
        f'{rows[i].source} ({sides[rows[i].name]}) and {rows[j].source} ({sides[rows[j].name]}) show one place'
        for i, j in across
        if sides[rows[i].name] != sides[rows[j].name]
    ]
    raise_faults(
        str(destination),
        faults,
        'A network would be measured on what it was trained on. Leave one of the datasets out, or delete these images '
        'from one of the archives and convert it again.',
        shown=5,
    )


def _regroup(
    rows: Sequence[ManifestRow], splits: Splits, across: Sequence[tuple[int, int]]
) -> tuple[list[ManifestRow], Splits]:
    """Groups that near-duplicates across the datasets link become one, and the images are flagged."""
    names = [row.name for row in rows]
    # A group links its images, as a patient does.
    titles = assign_groups(names, [row.group for row in rows], across)
    groups = {name: title.removeprefix('patient_') for name, title in zip(names, titles)}
    flags = duplicate_flags(rows, across)
    final = []
    for row in rows:
        known = [flag for flag in row.flags.split(';') if flag]
        known += [flag for flag in flags.get(row.name, ()) if flag not in known]
        final.append(replace(row, group=groups[row.name], flags=';'.join(known)))
    return final, replace(splits, groups=groups)


def _copy(files: dict[str, Path], work: Path, track: Callable[[Sequence], Iterable]) -> None:
    """Copies, not links: the dataset must not change when a source does."""
    for side in ('train', 'test'):
        for kind in ('images', 'masks'):
            (work / side / kind).mkdir(parents=True)
    for new in track(list(files)):
        if not files[new].is_file():
            raise DatasetError(f'{files[new]}: absent; restore it, or convert the dataset again.')
        shutil.copyfile(files[new], work / new)
