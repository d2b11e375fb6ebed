r"""Count which pixels a test took for what, coarse and refined, and which ones refining repaired or spoiled.

Reads the masks that tools/test.py --out wrote and the ground truth of the converted dataset. Each image has a row in
the CSV file: the four outcomes of each stage as shares of the lesion's area (found and missed) and of the image's, and
what refining changed.

Example:
  python tools/analysis_tools/confusion.py checkpoints/ultrarefiner/busi/fold_0/test --data-root data/busi \
      --out confusion.png --csv confusion.csv
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ultrarefiner.apis.cli import check_outputs, input_folder, one_message, run_tool, tool_parser
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.datasets.mask_file import read_mask
from ultrarefiner.evaluation.per_image_csv import read_rows
from ultrarefiner.evaluation.pixel_confusion import pixel_changes, pixel_confusion
from ultrarefiner.structures.stages import IGNORE_LABEL
from ultrarefiner.visualization.confusion_plot import draw_confusion

LISTED = 5


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    made_by = input_folder('tools/test.py --out writes it')
    parser.add_argument('results', type=made_by, help='folder of per_image.csv, masks/ and, with a refiner, coarse/')
    parser.add_argument(
        '--data-root',
        type=input_folder('give the converted dataset that was tested'),
        nargs='+',
        required=True,
        help='converted datasets that the images are of',
    )
    parser.add_argument(
        '--label-map',
        nargs='+',
        metavar='GREY=LABEL',
        help="the dataset's label_map; default: 0=0 255=1 for one class, a label its own grey value for several",
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='picture to write')
    parser.add_argument('--csv', type=Path, metavar='FILE', help='write a row for each image')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the matrices and the sums')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier files')
    args = parser.parse_args(argv)
    with one_message():
        check_outputs(args.out, args.csv, args.json, overwrite=args.overwrite)
        confusion = Confusion(args.results, args.data_root, args.label_map)
        confusion.count()
        if args.out is not None:
            draw_confusion(args.out, confusion.matrices, confusion.classes, confusion.changes)
        if args.csv is not None:
            confusion.rows.to_csv(args.csv, index=False)
        if args.json is not None:
            args.json.write_text(json.dumps(confusion.as_json(), indent=1) + '\n')
    console = Console(width=None if sys.stdout.isatty() else 140)
    for stage in confusion.matrices:
        console.print(matrix_table(confusion, stage))
    if confusion.changes is not None:
        console.print(change_table(confusion))


class Confusion:
    """The pixels of a test, counted.

    Args:
        results (Path): What tools/test.py --out wrote.
        data_roots (list[Path]): Converted datasets.
        label_map (list[str], optional): As given, GREY=LABEL.

    Attributes:
        classes (list[str]): Background first.
        matrices (dict[str, np.ndarray]): By stage, (C, C), row is the true class.
        changes (Counter, optional): `pixel_changes`, summed; None without a refiner.
        rows (pd.DataFrame): One an image.

    Raises:
        FileNotFoundError: If something is missing.
        ValueError: If results and dataset do not belong together.
    """

    def __init__(self, results: Path, data_roots: list[Path], label_map: list[str] | None = None):
        table = results / 'per_image.csv'
        if not table.is_file():
            raise FileNotFoundError(f'{table} does not exist; tools/test.py --out writes it, with the masks')
        cases = read_rows(table)
        self.classes = ['background', *dict.fromkeys(cases['class'])]
        self.images = list(cases[['dataset', 'name']].drop_duplicates().itertuples(index=False, name=None))
        self.results = results
        refined = (results / 'coarse').is_dir()
        self.folders = dict(coarse='coarse', refined='masks') if refined else dict(coarse='masks')
        self.roots = {Splits.load(root / 'splits.json').dataset: root for root in data_roots}
        self._check_splits()
        several = len(self.classes) > 2
        self.predicted_map = {label: label for label in range(len(self.classes))} if several else {0: 0, 255: 1}
        self.label_map = parse_label_map(label_map) if label_map else {**self.predicted_map}
        if several and not label_map:
            self.label_map[IGNORE_LABEL] = IGNORE_LABEL
        self.matrices = {stage: np.zeros((len(self.classes),) * 2, dtype=np.int64) for stage in self.folders}
        self.changes = Counter() if refined else None
        self.rows = pd.DataFrame()

    def count(self) -> None:
        """Read all masks."""
        rows = []
        for dataset, name in track(self.images, 'counting', console=Console(stderr=True)):
            truth = read_mask(self._truth_path(dataset, name), self.label_map)
            masks = {
                stage: read_mask(self._existing(self.results / folder / dataset / f'{name}.png'), self.predicted_map)
                for stage, folder in self.folders.items()
            }
            row = dict(dataset=dataset, name=name)
            for stage, mask in masks.items():
                try:
                    matrix = pixel_confusion(truth, mask, len(self.classes))
                except ValueError as error:
                    raise ValueError(f'{stage} mask of {dataset} {name}: {error}') from error
                self.matrices[stage] += matrix
                row |= {f'{key}/{stage}': value for key, value in outcomes(matrix).items()}
            if self.changes is not None:
                changes = pixel_changes(truth, masks['coarse'], masks['refined'])
                self.changes.update(changes)
                row |= changes
            rows.append(row)
        self.rows = pd.DataFrame(rows)

    def as_json(self) -> dict:
        """Plain values."""
        matrices = {stage: matrix.tolist() for stage, matrix in self.matrices.items()}
        changes = None if self.changes is None else dict(self.changes)
        return dict(images=len(self.images), classes=self.classes, matrices=matrices, changes=changes)

    def _check_splits(self) -> None:
        for dataset in dict.fromkeys(dataset for dataset, _ in self.images):
            if dataset not in self.roots:
                raise ValueError(
                    f'the results are of {dataset}, --data-root gives {", ".join(self.roots)}; give the dataset that '
                    'was tested'
                )

    def _truth_path(self, dataset: str, name: str) -> Path:
        root = self.roots[dataset]
        paths = [root / part / 'masks' / f'{name}.png' for part in ('test', 'train')]
        return next((path for path in paths if path.is_file()), None) or self._existing(paths[0])

    @staticmethod
    def _existing(path: Path) -> Path:
        if not path.is_file():
            raise FileNotFoundError(f'{path} does not exist; test again with --out, with the dataset given here')
        return path


def parse_label_map(pairs: list[str]) -> dict[int, int]:
    """A map from text such as '255=1'.

    Raises:
        ValueError: If a pair is another text.
    """
    try:
        return {int(grey): int(label) for grey, label in (pair.split('=') for pair in pairs)}
    except ValueError as error:
        raise ValueError(f'--label-map {" ".join(pairs)}: expected pairs such as 0=0 255=1') from error


def outcomes(matrix: np.ndarray) -> dict[str, float]:
    """What became of the pixels of one image, the classes told apart: (C, C) to shares.

    Returns:
        dict[str, float]: ``found`` and ``missed``, shares of the true lesion area, NaN where there is none; ``false``,
        share of the image that is taken for a lesion and is background, and ``background``, that is rightly left.
    """
    lesion, total = matrix[1:].sum(), matrix.sum()
    found = np.trace(matrix[1:, 1:])
    return dict(
        found=found / lesion if lesion else np.nan,
        missed=1 - found / lesion if lesion else np.nan,
        false=matrix[0, 1:].sum() / total if total else np.nan,
        background=matrix[0, 0] / total if total else np.nan,
    )


def matrix_table(confusion: Confusion, stage: str) -> Table:
    """The matrix of a stage: pixels, and their share of the true class."""
    table = Table('true, down', title=f'{stage}: pixels of {len(confusion.images)} images')
    for name in confusion.classes:
        table.add_column(f'as {name}', justify='right')
    for name, row in zip(confusion.classes, confusion.matrices[stage]):
        table.add_row(name, *(f'{count:,}  {count / max(row.sum(), 1):7.2%}' for count in row))
    return table


def change_table(confusion: Confusion) -> Table:
    """What refining repaired and spoiled, in all and on the images with the largest balance either way."""
    table = Table('image', title='pixels, from coarse to refined')
    for heading in ('repaired', 'spoiled', 'balance', 'still wrong'):
        table.add_column(heading, justify='right')
    rows = confusion.rows.assign(balance=confusion.rows['repaired'] - confusion.rows['spoiled'])
    rows = rows.sort_values('balance', ascending=False, kind='stable')
    shown = rows if len(rows) <= 2 * LISTED else pd.concat([rows.head(LISTED), rows.tail(LISTED)])
    for row in shown.to_dict('records'):
        cells = (f'{row["repaired"]:,}', f'{row["spoiled"]:,}', f'{row["balance"]:+,}', f'{row["still_wrong"]:,}')
        table.add_row(row['name'], *cells)
    table.add_section()
    changes = confusion.changes
    balance = changes['repaired'] - changes['spoiled']
    cells = (f'{changes["repaired"]:,}', f'{changes["spoiled"]:,}', f'{balance:+,}', f'{changes["still_wrong"]:,}')
    table.add_row(f'all {len(rows)} images', *cells)
    return table


if __name__ == '__main__':
    run_tool(main)
