"""From an archive as downloaded to `{train,test}/{images,masks}`, a manifest, a checked split and a report.

Everything is written to a temporary folder beside the destination and renamed at the end, so that a conversion that was
killed never looks complete.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from .archive import Archive, open_archive
from .converters.base import BaseConverter, Collection, Fault, Sample
from .destination import check_destination, written_beside
from .errors import DatasetError, raise_faults
from .grouping import assign_groups, dhash, duplicate_pairs
from .images import as_grey_or_rgb, count_components, decode, pixel_sha256, png_bytes
from .manifest import ManifestRow, write_manifest
from .report import as_markdown, make_report, write_report
from .splits import Splits
from .splitting import area_tertiles, grouped_split, method_split

SAFE_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._-]*')
REMEDY = 'Mend or remove these files, or leave them out (--leave-out-faulty; the report lists them).'
BLANK = 'blank mask'


@dataclass(frozen=True)
class SplitOptions:
    """How the test set and the folds are drawn.

    Args:
        protocol (str): 'grouped' (nothing leaks) or 'method' (the method's plain random split). Defaults to 'grouped'.
        seed (int): Decides the outcome. Defaults to 42.
        n_folds (int): Number of folds. Defaults to 5.
        test_fraction (float): Share of images held out. Defaults to 0.2.

    Raises:
        DatasetError: If a value is out of range.
    """

    protocol: str = 'grouped'
    seed: int = 42
    n_folds: int = 5
    test_fraction: float = 0.2

    def __post_init__(self):
        if self.protocol not in ('grouped', 'method'):
            raise DatasetError(f'protocol {self.protocol!r}, expected grouped or method.')
        if not 0 <= self.seed < 2**31:
            raise DatasetError(f'seed {self.seed}, expected 0 to 2^31 - 1.')
        if self.n_folds < 2:
            raise DatasetError(f'{self.n_folds} folds, expected 2 or more.')
        if not 0.05 <= self.test_fraction <= 0.95:
            raise DatasetError(f'test fraction {self.test_fraction}, expected 0.05 to 0.95.')


def convert(
    converter: BaseConverter,
    source: str | Path,
    destination: str | Path,
    options: SplitOptions = SplitOptions(),
    overwrite: bool = False,
    leave_out_faulty: bool = False,
    console: Console | None = None,
) -> dict:
    """Convert one dataset.

    Args:
        converter (BaseConverter): What knows the archive.
        source (str | Path): Folder or .zip file.
        destination (str | Path): Folder to write; absent or empty, or with ``overwrite`` an earlier conversion.
        options (SplitOptions): How to split.
        overwrite (bool): Whether an earlier conversion is replaced. Defaults to False.
        leave_out_faulty (bool): Whether faulty files are left out instead of stopping. Defaults to False.
        console (Console, optional): Shows progress. Defaults to none shown.

    Returns:
        dict: The report.

    Raises:
        DatasetError: If anything is wrong with source or destination; nothing is written then.
    """
    # Absolute, so that '.' has a name and a parent.
    source, destination = Path(source), Path(os.path.abspath(destination))
    check_destination(source, destination, overwrite)
    with open_archive(source) as archive:
        collection = converter.collect(archive)
        _settle_faults(archive, collection, leave_out_faulty)
        _check_names(archive, collection.samples)
        with written_beside(destination) as work:
            rows = _convert_images(converter, archive, collection, work, leave_out_faulty, console)
            report = _split_and_describe(collection, rows, work, options)
    return report


def _convert_images(
    converter: BaseConverter,
    archive: Archive,
    collection: Collection,
    work: Path,
    leave_out_faulty: bool,
    console: Console | None,
) -> list[ManifestRow]:
    """Write every image and mask to `work/staging`; a row each for those with a lesion, in order."""
    for kind in ('images', 'masks'):
        (work / 'staging' / kind).mkdir(parents=True)
    rows: list[ManifestRow] = []

    def attempt(sample: Sample) -> ManifestRow | Fault:
        try:
            return _convert_one(converter, archive, collection, sample, work)
        except DatasetError as error:
            return Fault(sample.image_source, str(error))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(attempt, collection.samples)
        if console is not None:
            total = len(collection.samples)
            results = track(results, f'converting {collection.dataset}', total, console=console)
        try:
            for sample, result in zip(collection.samples, results):
                if isinstance(result, Fault):
                    collection.faults.append(result)
                elif result.n_components == 0:
                    reason = BLANK if sample.label == 'unknown' else f'{BLANK} ({sample.label})'
                    collection.left_out.setdefault(reason, []).append(sample.image_source)
                else:
                    rows.append(result)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for the images that are left.
            raise
    _settle_faults(archive, collection, leave_out_faulty)
    if not rows:
        raise DatasetError(f'{archive.path}: all {len(collection.samples)} masks are blank; nothing to convert.')
    return rows


def _convert_one(
    converter: BaseConverter, archive: Archive, collection: Collection, sample: Sample, work: Path
) -> ManifestRow:
    data = archive.read(sample.image_source)
    image = as_grey_or_rgb(decode(data, sample.image_source), sample.image_source)
    lesion, mask_flags = converter.load_mask(archive, sample, (image.height, image.width))
    mask = Image.fromarray(lesion.astype('uint8') * 255)
    components = count_components(lesion)
    flags = [*sample.flags, *mask_flags]
    if components:
        (work / 'staging' / 'images' / f'{sample.name}.png').write_bytes(png_bytes(image, data))
        (work / 'staging' / 'masks' / f'{sample.name}.png').write_bytes(png_bytes(mask))
        if sample.label == 'normal':
            flags.append('lesion_though_normal')
    return ManifestRow(
        dataset=collection.dataset,
        name=sample.name,
        patient=sample.patient,
        group='',
        label=sample.label,
        image='',
        mask='',
        height=image.height,
        width=image.width,
        sha256=pixel_sha256(image),
        dhash=dhash(image),
        n_components=components,
        fg_fraction=f'{lesion.mean():.6f}',
        flags=';'.join(flags),
        split='',
        source=collection.relative(sample.image_source),
        mask_source=';'.join(map(collection.relative, sample.mask_sources)),
        mask_sha256=pixel_sha256(mask),
    )


def _split_and_describe(collection: Collection, rows: Sequence[ManifestRow], work: Path, options: SplitOptions) -> dict:
    """Draw the split, move the files to their side, write manifest, split and report."""
    names, patients = [row.name for row in rows], [row.patient for row in rows]
    pairs = duplicate_pairs(patients, [row.dhash for row in rows])
    groups = dict(zip(names, assign_groups(names, patients, pairs)))
    _note_united_patients(collection, rows, groups)
    plain = method_split(collection.dataset, groups, options.seed, options.n_folds, options.test_fraction)
    splits = plain
    if options.protocol == 'grouped':
        tertiles = area_tertiles({row.name: float(row.fg_fraction) for row in rows})
        strata = {row.name: (f'{row.label} {tertiles[row.name]}', row.label) for row in rows}
        official = {sample.name: sample.official_fold for sample in collection.samples if sample.official_fold}
        splits, notes = grouped_split(
            collection.dataset, groups, strata, options.seed, options.n_folds, options.test_fraction, official
        )
        collection.notes += notes
    final = _place(rows, groups, splits, duplicate_flags(rows, pairs), work)
    write_manifest(work / 'manifest.csv', final)
    splits.save(work / 'splits.json')
    labels = Counter(sample.label for sample in collection.samples if sample.label != 'unknown')
    named_pairs = [(names[i], names[j]) for i, j in pairs]
    report = make_report(collection, final, splits, plain, named_pairs, labels)
    write_report(work, report, as_markdown(report))
    return report


def _place(
    rows: Sequence[ManifestRow],
    groups: dict[str, str],
    splits: Splits,
    extra_flags: dict[str, list[str]],
    work: Path,
) -> list[ManifestRow]:
    for side in ('train', 'test'):
        for kind in ('images', 'masks'):
            (work / side / kind).mkdir(parents=True)
    test = set(splits.test)
    final = []
    for row in sorted(rows, key=lambda row: row.name):
        side = 'test' if row.name in test else 'train'
        paths = {kind: f'{side}/{kind}/{row.name}.png' for kind in ('images', 'masks')}
        for kind, path in paths.items():
            os.rename(work / 'staging' / kind / f'{row.name}.png', work / path)
        flags = ';'.join(filter(None, (row.flags, *extra_flags.get(row.name, ()))))
        final.append(
            replace(row, group=groups[row.name], image=paths['images'], mask=paths['masks'], split=side, flags=flags)
        )
    shutil.rmtree(work / 'staging')
    return final


def duplicate_flags(rows: Sequence[ManifestRow], pairs: Sequence[tuple[int, int]]) -> dict[str, list[str]]:
    """What to know about near-duplicates.

    Args:
        rows (Sequence[ManifestRow]): Of the images.
        pairs (Sequence[tuple[int, int]]): From `duplicate_pairs`.

    Returns:
        dict[str, list[str]]: Name to sorted flags; images without a near-duplicate are not in it.
    """
    flags: dict[str, set[str]] = {}
    for i, j in pairs:
        found = {'near_duplicate'}
        if rows[i].sha256 == rows[j].sha256:
            found.add('identical_pixels')
        if rows[i].label != rows[j].label:
            found.add('duplicate_with_other_label')
        for row in (rows[i], rows[j]):
            flags.setdefault(row.name, set()).update(found)
    return {name: sorted(found) for name, found in flags.items()}


def _note_united_patients(collection: Collection, rows: Sequence[ManifestRow], groups: dict[str, str]) -> None:
    patients: dict[str, set[str]] = {}
    for row in rows:
        if row.patient:
            patients.setdefault(groups[row.name], set()).add(row.patient)
    for group, members in sorted(patients.items()):
        if len(members) > 1:
            collection.notes.append(
                f'Patients {", ".join(sorted(members))} have copies of one image and were put into one group ({group}).'
            )


def _settle_faults(archive: Archive, collection: Collection, leave_out: bool) -> None:
    if not leave_out:
        raise_faults(str(archive.path), [_in_words(fault) for fault in collection.faults], REMEDY)
    for fault in collection.faults:
        reason = f'faulty: {fault.message.removeprefix(f"{fault.source}: ")}'
        collection.left_out.setdefault(reason, []).append(fault.source)
    collection.faults = []


def _in_words(fault: Fault) -> str:
    return fault.message if fault.message.startswith(fault.source) else f'{fault.source}: {fault.message}'


def _check_names(archive: Archive, samples: Sequence[Sample]) -> None:
    if not samples:
        raise DatasetError(f'{archive.path}: no image with a mask was found.')
    first: dict[str, Sample] = {}
    clashes = []
    for sample in samples:
        # Without regard to case, as on the file systems of Windows and macOS.
        other = first.setdefault(sample.name.lower(), sample)
        if other is not sample:
            clashes.append(f'{other.image_source} and {sample.image_source} would both become {sample.name}.png')
        elif not SAFE_NAME.fullmatch(sample.name):
            clashes.append(f'{sample.image_source} would become {sample.name!r}, which is not safe as a file name')
    raise_faults(str(archive.path), clashes, 'Rename them.')
