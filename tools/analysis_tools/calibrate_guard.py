r"""Calibrate the guard of a refiner: from which measures of a refined mask on the coarse one is the better choice.

Reads the results of validation images, those of a test without guard, and writes the rules of a GuardedRefiner with the
gain to expect, which is cross-validated. Several folds are several files: the more images, the better. Then test with
refiner=dict(type='GuardedRefiner', rules='guard.json', refiner=...), with the same checkpoint.

Example:
  python tools/test.py CONFIG CHECKPOINT --fold 0 --out results/val_0 \
      --cfg-options test_dataloader.dataset.subset=val test_dataloader.dataset.fold=0
  python tools/analysis_tools/calibrate_guard.py results/val_0/per_image.csv --data-root data/busi --out guard.json
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation.guard_calibration import COLUMNS, Calibration, calibrate, guard_measures
from ultrarefiner.evaluation.per_image_csv import read_rows
from ultrarefiner.utils.guard_rules import MEASURES, GuardRules

REQUIRED = ('name', 'dataset', 'class', 'coarse/Dice', 'refined/Dice', 'area/coarse', 'area/refined')


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('results', type=Path, nargs='+', help='per_image.csv of validation images, its .json beside it')
    parser.add_argument('--out', type=Path, default=Path('guard.json'), help='default: guard.json')
    parser.add_argument(
        '--data-root',
        type=Path,
        nargs='+',
        default=[],
        help='converted datasets that the images are of: says which are of one patient, and which are test images',
    )
    parser.add_argument(
        '--level', type=float, default=0.95, help='confidence that a guard helps, else there is none; default: 0.95'
    )
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier guard')
    args = parser.parse_args(argv)

    console = Console()
    with one_message():
        if args.out.exists() and not args.overwrite:
            raise FileExistsError(f'{args.out} exists already; --overwrite replaces it, --out chooses another file')
        if not 0 < args.level < 1:
            raise ValueError(f'--level is {args.level}, expected a number between 0 and 1')
        splits = {split.dataset: split for split in (Splits.load(root / 'splits.json') for root in args.data_root)}
        summaries = [read_summary(path) for path in args.results]
        rows = read_results(args.results)
        groups = group_rows(rows, summaries, splits)
        measures = guard_measures(rows)
        scores = [rows[f'{stage}/Dice'].to_numpy(float) for stage in ('coarse', 'refined')]
        progress = Console(stderr=True)
        guard = calibrate(
            measures,
            *scores,
            groups,
            args.level,
            args.seed,
            lambda repeats: track(repeats, 'cross-validating', console=progress),
        )
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(as_json(guard, rows, summaries), indent=1))
    if any(summary['subset'] is None for summary in summaries):
        console.print('the results do not say what images they are of: see to it that none is a test image')
    ungrouped = sorted(set(rows['dataset']) - set(splits))
    if ungrouped:
        console.print(f'every image of {", ".join(ungrouped)} counts as a patient of its own; --data-root groups them')
    absent = [column for name, column in COLUMNS.items() if name not in measures]
    if absent:
        console.print(f'not in every result, so without a rule: {", ".join(absent)}')
    console.print(rule_table(guard, measures))
    console.print(report(guard, rows, groups), highlight=False)
    console.print(f'guard written to {args.out}', markup=False)


def read_summary(path: Path) -> dict:
    """What RefinementMetric wrote beside the results.

    Raises:
        FileNotFoundError: If the results or the summary are absent.
        ValueError: If they are known to be of other than validation images, or of a refiner behind a guard.
    """
    beside = path.with_suffix('.json')
    for file in (path, beside):
        if not file.is_file():
            raise FileNotFoundError(
                f'{file} does not exist; tools/test.py --out writes the results of each image and their summary'
            )
    summary = json.loads(beside.read_text())
    if summary.get('subset') not in ('val', None):
        raise ValueError(
            f'{path} holds results of the {summary["subset"]} images, expected those of validation images: test images '
            'must not choose the guard, and on training images a refiner is at its best; see --help'
        )
    if summary.get('guarded'):
        raise ValueError(
            f'{path} holds results of a refiner behind a guard, which has put the coarse masks back already; test '
            'without the guard, with the same checkpoint'
        )
    return {key: summary.get(key) for key in ('dataset', 'split_sha256', 'subset', 'fold', 'images')}


def read_results(paths: list[Path]) -> pd.DataFrame:
    """All rows of all files.

    Raises:
        ValueError: If a column is missing, or an image is there twice.
    """
    parts = []
    for path in paths:
        part = read_rows(path)
        missing = [column for column in REQUIRED if column not in part]
        if missing:
            raise ValueError(
                f'{path} lacks the columns {missing}; expected the results of both stages as tools/test.py writes them'
            )
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    twice = rows[rows.duplicated(['dataset', 'name', 'class'])]
    if len(twice):
        raise ValueError(
            f'{len(twice)} results are there twice, the first of {twice.iloc[0]["dataset"]} {twice.iloc[0]["name"]}; '
            'give every validation image once'
        )
    return rows


def group_rows(rows: pd.DataFrame, summaries: list[dict], splits: dict[str, Splits]) -> list[str]:
    """The patient of each row where the dataset's split knows it, else the image.

    Raises:
        ValueError: If the results are of another split, or of an image that is no training image of it.
    """
    for summary in summaries:
        split, made = splits.get(summary['dataset']), summary['split_sha256']
        if split is not None and made != split.digest:
            raise ValueError(
                f'the results of {split.dataset} are of the split {str(made)[:12]}, the dataset given has the split '
                f'{split.digest[:12]}; take the dataset that they were made with'
            )
    groups = []
    for dataset, name in zip(rows['dataset'], rows['name']):
        split = splits.get(dataset)
        if split is not None and name not in split.groups:
            raise ValueError(f'{dataset} has no image {name}; take the dataset that the results were made with')
        if split is not None and name in split.test:
            raise ValueError(f'{name} is a test image of {dataset}; calibrate on validation images')
        groups.append(f'{dataset}/{name if split is None else split.groups[name]}')
    return groups


def as_json(guard: Calibration, rows: pd.DataFrame, summaries: list[dict]) -> dict:
    """What GuardedRefiner reads, and what it rests on."""
    return dict(
        rules=guard.rules.ranges,
        calibrated_on=summaries,
        dice=dict(coarse=rows['coarse/Dice'].mean(), refined=rows['refined/Dice'].mean()),
        cross_validated_gain=dict(dice=guard.gain, interval=guard.interval, level=guard.level),
    )


def rule_table(guard: Calibration, measures: dict) -> Table:
    """What is accepted, and how many masks each rule alone would keep coarse."""
    table = Table('measure', 'lowest', 'highest', 'masks beyond')
    for name, ends in guard.rules.ranges.items():
        beyond = int((~GuardRules({name: ends}).accept(measures)).sum())
        table.add_row(MEASURES[name], *('' if end is None else f'{end:.4g}' for end in ends), str(beyond))
    if not guard.rules.ranges:
        table.add_row('no guard: every refined mask is kept', '', '', '0')
    return table


def report(guard: Calibration, rows: pd.DataFrame, groups: list[str]) -> str:
    """The score before, and the gain on images that had no part in the choice."""
    low, high = guard.interval
    return (
        f'{len(rows)} masks of {len(set(groups))} images or patients; mean Dice coarse '
        f'{rows["coarse/Dice"].mean():.4f}, refined {rows["refined/Dice"].mean():.4f}\n'
        f'gain of guarding, cross-validated: {guard.gain:+.4f} ({guard.level:.0%} interval {low:+.4f} to {high:+.4f})'
    )


if __name__ == '__main__':
    run_tool(main)
