"""Collected runs, read back: the results of every row of the tables, by training set, test set and seed."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ...data_preparation.splits import Splits
from ...evaluation.interval_table import IMAGE, groups_of, mean_of_runs
from ...evaluation.metric import METRICS
from ...evaluation.per_image_csv import read_rows
from ..training_record import RECORD, read_record
from .layout import CURVE, ERRORS, GUARDED, ROWS, SPLITS, SUMMARY, TESTS


class MissingRuns(LookupError):
    """The runs that a part of the page is made of are not there yet."""


@dataclass(frozen=True)
class Row:
    """One row of a table: a stage of the models of one kind.

    Args:
        title (str): In tables.
        kind (str): The folder below ``checkpoints/``.
        stage (str): 'coarse' or 'refined'.
        guarded (bool): Of the test with a guard.
    """

    title: str
    kind: str
    stage: str
    guarded: bool = False


KINDS = dict(
    unet='U-Net', transunet='TransUNet, phase 1', sam_finetuned='Refiner, phase 2', ultrarefiner='Both, phase 3'
)
ROWS_OF = dict(
    unet=Row('U-Net', 'unet', 'coarse'),
    phase1=Row('TransUNet, phase 1', 'transunet', 'coarse'),
    phase2_coarse=Row('coarse, phase 2', 'sam_finetuned', 'coarse'),
    phase2=Row('refined, phase 2', 'sam_finetuned', 'refined'),
    phase2_guarded=Row('refined, phase 2, guarded', 'sam_finetuned', 'refined', guarded=True),
    phase3_coarse=Row('coarse, phase 3', 'ultrarefiner', 'coarse'),
    phase3=Row('refined, phase 3', 'ultrarefiner', 'refined'),
    phase3_guarded=Row('refined, phase 3, guarded', 'ultrarefiner', 'refined', guarded=True),
)
HEADLINE = ('unet', 'phase1', 'phase2', 'phase3_coarse', 'phase3', 'phase3_guarded')


@dataclass(frozen=True)
class StoredRun:
    """A collected work directory.

    Args:
        path (Path): Its folder.
        training_set (str): The first folder of its path.
        kind (str): The folder below ``checkpoints/``.
        fold (int): Also its seed.
    """

    path: Path
    training_set: str
    kind: str
    fold: int

    @cached_property
    def record(self) -> dict:
        """``training.json``."""
        return read_record(self.path) or {}

    @property
    def config_name(self) -> str:
        """The config's file name without its ending; '' if it was not kept."""
        return next((path.stem for path in sorted(self.path.glob('*.py'))), '')

    def curve(self) -> pd.DataFrame | None:
        """Of `curve_of`; None if nothing was logged."""
        path = self.path / CURVE
        return pd.read_csv(path) if path.is_file() else None


class StoredRuns:
    """The runs below a folder that `collect` filled; read when they are asked for.

    Args:
        root (str | Path): The folder; without it there are no runs.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        found = (_stored_run(path.parent, self.root) for path in sorted(self.root.rglob(RECORD)))
        self.runs = [run for run in found if run is not None]
        self._tests: dict[Path, pd.DataFrame] = {}
        self._images: dict[tuple, pd.DataFrame] = {}
        self._means: dict[tuple, pd.DataFrame] = {}

    def of(self, training_set: str, kind: str) -> dict[int, StoredRun]:
        """The runs of a kind by seed."""
        return {run.fold: run for run in self.runs if (run.training_set, run.kind) == (training_set, kind)}

    def folders(self, training_set: str, test_set: str, row: str) -> dict[int, Path]:
        """The folders of the tests of a row by seed; empty if there are none."""
        of = ROWS_OF[row]
        name = f'{test_set}{GUARDED}' if of.guarded else test_set
        found = {seed: run.path / TESTS / name for seed, run in self.of(training_set, of.kind).items()}
        return {seed: folder for seed, folder in sorted(found.items()) if (folder / ROWS).is_file()}

    def seeds(self, training_set: str, test_set: str) -> list[int]:
        """The seeds that every row of the headline table has, of those that have any; a guard is no training.

        Raises:
            MissingRuns: If there is no such seed.
        """
        rows = [row for row in HEADLINE if not ROWS_OF[row].guarded]
        by_row = [set(self.folders(training_set, test_set, row)) for row in rows]
        common = sorted(set.intersection(*filter(None, by_row))) if any(by_row) else []
        if not common:
            raise MissingRuns(f'runs trained on {training_set} and tested on {test_set}')
        return common

    def test_sets(self, training_set: str) -> list[str]:
        """The names of all test sets that a model of a training set was tested on."""
        paths = [path for run in self.runs if run.training_set == training_set for path in run.path.glob(f'{TESTS}/*')]
        return sorted({path.name.removesuffix(GUARDED) for path in paths if (path / ROWS).is_file()})

    def rows(self, folder: Path) -> pd.DataFrame:
        """The per-image rows of one test."""
        if folder not in self._tests:
            self._tests[folder] = read_rows(folder / ROWS)
        return self._tests[folder]

    def of_seeds(self, training_set: str, test_set: str, row: str) -> dict[int, pd.DataFrame]:
        """The per-image rows of the common seeds.

        Raises:
            MissingRuns: If a seed has no such test.
        """
        folders = self.folders(training_set, test_set, row)
        seeds = self.seeds(training_set, test_set)
        if not set(seeds) <= set(folders):
            raise MissingRuns(f'{ROWS_OF[row].title}, trained on {training_set} and tested on {test_set}')
        return {seed: self.rows(folders[seed]) for seed in seeds}

    def images(self, training_set: str, test_set: str, row: str) -> pd.DataFrame:
        """One row an image and class, every value averaged over the seeds, as `mean_of_runs` makes it.

        Raises:
            MissingRuns: If a seed has no such test.
            ValueError: If the seeds were tested on different images.
        """
        key = (training_set, test_set, row)
        if key not in self._images:
            tests = self.of_seeds(*key)
            rows = pd.concat(tests.values())
            times = rows.groupby([*IMAGE, 'class']).size()
            if (times != len(tests)).any():
                raise ValueError(
                    f'{ROWS_OF[row].title}, trained on {training_set} and tested on {test_set}: '
                    f'{"/".join(times.index[times != len(tests)][0])} was not tested with each of the seeds '
                    f'{", ".join(map(str, tests))}; test all on the same split'
                )
            self._images[key] = mean_of_runs(rows)
        return self._images[key]

    def seed_means(self, training_set: str, test_set: str, row: str) -> pd.DataFrame:
        """The mean over images by seed; columns are the metrics of the row's stage."""
        key = (training_set, test_set, row)
        if key in self._means:
            return self._means[key]
        stage = ROWS_OF[row].stage
        means = {
            seed: {name: rows[f'{stage}/{name}'].mean() for name in METRICS if f'{stage}/{name}' in rows}
            for seed, rows in self.of_seeds(*key).items()
        }
        self._means[key] = pd.DataFrame.from_dict(means, orient='index')
        return self._means[key]

    def split(self, folder: Path) -> Splits:
        """The split of the dataset that a test is of.

        Raises:
            ValueError: If it was not collected.
        """
        digest = json.loads((folder / SUMMARY).read_text())['split_sha256']
        if digest not in self._splits:
            raise ValueError(f'{folder} was tested with the split {digest[:12]}, which is not in {self.root / SPLITS}')
        return self._splits[digest]

    def groups(self, training_set: str, test_set: str, images: pd.DataFrame) -> list[Hashable]:
        """The group (patient, near-duplicates) of each image of a frame.

        Raises:
            ValueError: If the split of the tests does not have one of the images.
        """
        found = (self.folders(training_set, test_set, row) for row in HEADLINE)
        folder = next(folder for folders in found for folder in folders.values())
        known = self.group_map(folder)
        unknown = set(images[IMAGE].itertuples(index=False, name=None)) - set(known)
        if unknown:
            raise ValueError(f'{folder}: {"/".join(min(unknown))} is not in the split that it was tested with')
        return groups_of(images, known)

    def group_map(self, folder: Path) -> dict[tuple[str, str], str]:
        """The group by dataset and name, of all images of the dataset that a test is of."""
        splits = self.split(folder)
        return {(splits.dataset, name): f'{splits.dataset}/{group}' for name, group in splits.groups.items()}

    def errors(self, training_set: str, test_set: str, row: str) -> dict[str, int]:
        """The counts of `error_places`, summed over images and seeds.

        Raises:
            MissingRuns: If a seed has none.
        """
        folders = self.folders(training_set, test_set, row)
        paths = [folders[seed] / ERRORS for seed in self.seeds(training_set, test_set) if seed in folders]
        if not paths or not all(path.is_file() for path in paths):
            raise MissingRuns(f'masks of {ROWS_OF[row].title}, trained on {training_set} and tested on {test_set}')
        return pd.DataFrame([json.loads(path.read_text())['pixels'] for path in paths]).sum().to_dict()

    @cached_property
    def _splits(self) -> dict[str, Splits]:
        splits = (Splits.load(path) for path in sorted((self.root / SPLITS).glob('*.json')))
        return {split.digest: split for split in splits}


def image_values(images: pd.DataFrame, row: str, metric: str) -> pd.Series:
    """A metric of the stage of a row, indexed by dataset and name, averaged over classes."""
    return images.groupby(IMAGE, sort=True)[f'{ROWS_OF[row].stage}/{metric}'].mean()


def _stored_run(path: Path, root: Path) -> StoredRun | None:
    """The run in a folder; None if its path is not that of a phase's work directory."""
    parts = path.relative_to(root).parts
    if len(parts) < 4 or parts[1] != 'checkpoints' or not parts[-1].startswith('fold_'):
        return None
    return StoredRun(path, parts[0], parts[2], int(parts[-1].removeprefix('fold_')))
