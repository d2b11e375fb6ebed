"""Ablation: the trainings and evaluations of a grid of configs, skipping what is done."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mmengine.config import Config

from ..data_preparation.splits import Splits
from ..evaluation.ablation_table import CellResult
from ..evaluation.per_image_csv import read_rows
from .ablation_grid import Cell, expand
from .config import complete_config
from .config_keys import is_set
from .phases import Step
from .presets import Presets
from .training_record import RECORD, read_record

ABLATION = 'ablation.json'
SUBSETS = ('val', 'test')
SAME_RUN = {'fold': 0, 'randomness.seed': 0}  # of different configs, to compare them


@dataclass(frozen=True, eq=False)
class Run:
    """One training of a cell, and its evaluation.

    Args:
        cell (Cell): What it is a run of.
        training (Step): Trains into the run's folder.
        evaluation (Step): Writes ``per_image.csv`` below it.
        evaluated (str): The text of the config that the evaluation runs.
    """

    cell: Cell
    training: Step
    evaluation: Step
    evaluated: str

    @property
    def csv(self) -> Path:
        """The per-image results."""
        return self.evaluation.output.with_suffix('.csv')

    def waiting(self) -> tuple[Step, ...]:
        """The steps that have to run; an evaluation is done if its config is the same and no newer, nor its weights.

        Raises:
            ValueError: If the training was run with other settings or another split.
        """
        if not self.training.is_done():
            return self.training, self.evaluation
        config, weights = map(Path, self.evaluation.arguments[:2])
        if not self.evaluation.is_done() or not config.is_file() or config.read_text() != self.evaluated:
            return (self.evaluation,)
        made, *inputs = (path.stat().st_mtime_ns for path in (self.evaluation.output, config, weights))
        return () if made >= max(inputs) else (self.evaluation,)


class Ablation:
    """A grid of config overrides; every cell is trained and evaluated on every fold with every seed.

    Under ``work_dir``: ``cells/{cell}/config.py``, the whole config of a cell, which tools/train.py takes, and beside
    it ``val.py``, which tests on the validation images; ``cells/{cell}/fold_{k}/seed_{s}/`` with ``best.pth`` and the
    other results of a training; below that ``{subset}/per_image.csv``.

    Args:
        config (str): Any config that tools/train.py takes.
        axes (dict[str, list[str]]): From `parse_grid`.
        presets (Presets): What the axes' values stand for.
        work_dir (str | Path): Where everything goes.
        folds (list[int], optional): Defaults to the config's own.
        seeds (list[int], optional): Defaults to the config's own.
        subset (str): What is evaluated: 'val', the fold's validation images, or 'test', the images of the config's
            test dataloader. Choices are to be made on 'val'. Defaults to 'val'.
        options (dict, optional): Config options for every cell, with ``dataset``, ``data_dir`` and ``out_dir`` (the
            root of the earlier phases' results).

    Attributes:
        cells (list[Cell]): Of the grid.
        runs (list[Run]): In the order of cells, folds and seeds.

    Raises:
        FileNotFoundError: If the config is not there.
        DatasetError: If a dataset is not.
        KeyError: If an axis, a value, or a key that one of them sets does not exist.
        ValueError: If the grid or the options cannot be what was meant; the message says why.
    """

    def __init__(
        self,
        config: str,
        axes: dict[str, list[str]],
        presets: Presets,
        work_dir: str | Path,
        folds: list[int] | None = None,
        seeds: list[int] | None = None,
        subset: str = 'val',
        options: dict | None = None,
    ):
        if not Path(config).is_file():
            raise FileNotFoundError(f'config {config} does not exist; the configs that come with the project: configs/')
        self.source, self.work_dir, self.subset, self.options = config, Path(work_dir), subset, dict(options or {})
        self.base = Config.fromfile(config)
        for key in self.options:
            is_set(self.base, key, '--cfg-options')
        self.base.merge_from_dict(self.options)
        self.folds = [self.base.get('fold', 0)] if folds is None else list(dict.fromkeys(folds))
        self.cells = expand(axes, presets, self.base)
        self.splits = self._read_splits()
        self._check_subset()
        self._texts = {cell: self._make_texts(cell) for cell in self.cells}
        # What a reader of the file gets.
        self._configs = {cell: Config.fromstring(texts['config.py'], '.py') for cell, texts in self._texts.items()}
        self._check_different()
        by_fold = {fold: self._own_seed(fold) if seeds is None else list(dict.fromkeys(seeds)) for fold in self.folds}
        self.seeds = list(dict.fromkeys(seed for drawn in by_fold.values() for seed in drawn))
        self.runs = [
            self._run(cell, fold, seed) for cell in self.cells for fold in self.folds for seed in by_fold[fold]
        ]

    def plan(self) -> list[tuple[Run, tuple[Step, ...]]]:
        """All runs, and the steps of each that have yet to run.

        Raises:
            ValueError: If ``work_dir`` holds the ablation of another config, or a run of other settings.
        """
        record = self.work_dir / ABLATION
        if record.is_file() and json.loads(record.read_text())['base'] != self._base_fingerprint():
            raise ValueError(
                f'{self.work_dir} holds an ablation of another config, or with other options; choose another '
                '--work-dir. Cells, folds and seeds may be added to an ablation, its base may not change'
            )
        return [(run, run.waiting()) for run in self.runs]

    def write_configs(self) -> None:
        """Write the cells' configs, and the record of what this is an ablation of; call it after `plan`."""
        for cell, texts in self._texts.items():
            self._folder(cell).mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                path = self._folder(cell) / name
                # An unchanged file keeps its time, and with it the evaluations that rest on it.
                if not path.is_file() or path.read_text() != text:
                    path.write_text(text)
        record = dict(
            base=self._base_fingerprint(),
            config=self.source,
            options={key: str(value) for key, value in self.options.items()},
            cells=[cell.label for cell in self.cells],
            folds=self.folds,
            seeds=self.seeds,
            subset=self.subset,
        )
        (self.work_dir / ABLATION).write_text(json.dumps(record, indent=1))

    def result(self, cell: Cell, failures: dict[Run, str]) -> CellResult:
        """What the runs of a cell have given so far.

        Args:
            cell (Cell): One of the grid's.
            failures (dict[Run, str]): The runs that failed, and why.
        """
        runs = [run for run in self.runs if run.cell == cell]
        finished = [run for run in runs if run not in failures and not run.waiting()]
        records = [read_record(run.training.cfg.work_dir) or {} for run in finished]
        reasons = [failures[run] for run in runs if run in failures]
        return CellResult(
            cell.label,
            dict(choice.split('=', 1) for choice in cell.choices),
            pd.concat([read_rows(run.csv) for run in finished]) if finished else None,
            [record['cost'] for record in records if record.get('cost')],
            runs=len(runs),
            finished=len(finished),
            failure=reasons[0] if reasons else None,
        )

    def groups(self) -> dict[tuple[str, str], str]:
        """The group of every image, by dataset and name."""
        return {
            (splits.dataset, name): f'{splits.dataset}/{group}'
            for splits in self.splits
            for name, group in splits.groups.items()
        }

    def _folder(self, cell: Cell) -> Path:
        return self.work_dir / 'cells' / cell.folder

    def _own_seed(self, fold: int) -> list[int]:
        """The seed that the config gives a fold; it may be '{fold}'."""
        cfg = complete_config(copy.deepcopy(self._configs[self.cells[0]]), {'fold': fold})
        return [(cfg.get('randomness') or {}).get('seed', 0)]

    def _run(self, cell: Cell, fold: int, seed: int) -> Run:
        work_dir = self._folder(cell) / f'fold_{fold}' / f'seed_{seed}'
        own = {'fold': fold, 'randomness.seed': seed, 'work_dir': str(work_dir)}
        cfg = complete_config(copy.deepcopy(self._configs[cell]), own)
        title = f'{cell.label}, fold {fold}, seed {seed}'
        late = ('--fold', str(fold), '--seed', str(seed))
        hashes = {splits.dataset: splits.digest for splits in self.splits}
        training = Step(
            f'{title}: training',
            'train.py',
            (str(self._folder(cell) / 'config.py'), *late, '--work-dir', str(work_dir)),
            work_dir / RECORD,
            cfg,
            hashes,
        )
        out = str(work_dir / self.subset)
        evaluated = 'val.py' if self.subset == 'val' else 'config.py'
        evaluation = Step(
            f'{title}: {self.subset} images',
            'test.py',
            (
                str(self._folder(cell) / evaluated),
                str(work_dir / 'best.pth'),
                *late,
                '--work-dir',
                out,
                '--out',
                out,
                '--overwrite',
            ),
            work_dir / self.subset / 'per_image.json',
            cfg,
            hashes if len(hashes) == 1 else {},  # the results of several datasets name no split
        )
        return Run(cell, training, evaluation, self._texts[cell][evaluated])

    def _make_texts(self, cell: Cell) -> dict[str, str]:
        """The configs of a cell, by file name."""
        cfg = cell.config(self.base)
        for key, value in self.options.items():
            if is_set(cfg, key, f'--cfg-options {key}') and _get(cfg, key) != value:
                raise ValueError(
                    f'the option {key}={value} has no effect in the cell {cell.label}, which sets {_get(cfg, key)!r}; '
                    'drop it, or the axis'
                )
        texts = {'config.py': cfg.pretty_text}
        if self.subset == 'val':
            cfg.test_dataloader = cfg.val_dataloader
            texts['val.py'] = cfg.pretty_text
        return texts

    def _base_fingerprint(self) -> str:
        return complete_config(copy.deepcopy(self.base), SAME_RUN).fingerprint

    def _read_splits(self) -> list[Splits]:
        """The splits of the config's datasets, where it names converted ones."""
        datasets = self.base.get('dataset') or []
        names = [datasets] if isinstance(datasets, str) else datasets
        if self.base.train_dataloader.dataset.get('type') != 'ConvertedDataset':
            return []
        splits = [Splits.load(Path(self.base.data_dir) / name / 'splits.json') for name in names]
        for split in splits:
            unknown = sorted(set(self.folds) - set(range(split.n_folds)))
            if unknown:
                raise ValueError(
                    f'folds {unknown} asked for, the dataset {split.dataset} has the folds 0 to {split.n_folds - 1}'
                )
        return splits

    def _check_subset(self) -> None:
        if self.subset not in SUBSETS:
            raise ValueError(f'--subset is {self.subset!r}, expected one of {SUBSETS}')
        if self.base.get('val_dataloader') is None:
            raise ValueError(f'{self.source} has no val_dataloader; an ablation needs a validation')
        tested = (self.base.get('test_dataloader') or {}).get('dataset', {}).get('subset', 'test')
        if self.subset == 'test' and tested != 'test':
            raise ValueError(
                f'--subset test: the test_dataloader of {self.source} reads the subset {tested!r}, for there are '
                'out-of-fold predictions of training images only; take --subset val, or a config of phase 3'
            )

    def _check_different(self) -> None:
        """Refuse cells that would be the same training under two names."""
        seen: dict[str, Cell] = {}
        for cell, raw in self._configs.items():
            cfg = complete_config(copy.deepcopy(raw), SAME_RUN)
            decisive = f'{cfg.fingerprint} {cfg.get("load_from")} {cfg.get("default_hooks")}'
            other = seen.setdefault(decisive, cell)
            if other is not cell:
                raise ValueError(
                    f'the cells {other.label} and {cell.label} are the same training: an axis sets one value twice, or '
                    'a key that nothing reads, such as a variable of a config file; take model.refiner.encoder, not '
                    'refiner.encoder, and --folds and --seeds for those'
                )


def _get(cfg: Config, key: str) -> object:
    node = cfg
    for name in key.split('.'):
        node = node[int(name)] if isinstance(node, Sequence) else node[name]
    return node
