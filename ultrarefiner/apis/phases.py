"""Pipeline: the phases of one or more datasets in order, skipping what is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from ..data_preparation.splits import Splits
from .config import load_config
from .training_record import RECORD, check_work_dir, read_record

PHASES = ('coarse', 'refine', 'joint')


@dataclass(frozen=True)
class Step:
    """One command of the pipeline, and how to see that it is done.

    Args:
        title (str): For people.
        tool (str): File name in tools/.
        arguments (tuple[str, ...]): Its arguments.
        output (Path): The file that it leaves behind when it is done.
        cfg (Config): The config that it runs, with everything filled in.
        splits (dict[str, str]): The hash of the split, by dataset.
        needs (tuple[Path, ...]): Outputs of the steps that come before it.
    """

    title: str
    tool: str
    arguments: tuple[str, ...]
    output: Path
    cfg: Config
    splits: dict[str, str] = field(default_factory=dict)
    needs: tuple[Path, ...] = ()

    def is_done(self) -> bool:
        """Whether the step has been run to its end with these settings and this split.

        Raises:
            ValueError: If it was run with others.
        """
        if not self.output.is_file():
            return False
        made = json.loads(self.output.read_text())
        splits = made['splits'] if self.tool == 'train.py' else {made['dataset']: made['split_sha256']}
        if self.splits and splits != self.splits:
            raise ValueError(
                f'{self.output} was made with another split of {", ".join(self.splits)} than the dataset has now; '
                f'choose another --out-dir, or move the folder away'
            )
        if self.tool == 'predict_folds.py':
            self._check_predictors(made)
        if self.tool != 'train.py':
            return True
        check_work_dir(self.cfg, resume=True)
        return made['finished'] and (self.output.parent / 'best.pth').is_file()

    def _check_predictors(self, proof: dict) -> None:
        """Check that the predictions were made by the checkpoints that the steps before this one leave behind."""
        made_by = {(self.output.parent / entry['checkpoint']).resolve() for entry in proof['entries'].values()}
        foreign = made_by - {(output.parent / 'best.pth').resolve() for output in self.needs}
        if foreign:
            raise ValueError(
                f'{self.output}: the predictions were made by {min(foreign)}, which is no checkpoint of this pipeline: '
                'choose another --out-dir, or move the folder away'
            )

    def command(self, tools: Path, processes: int = 1) -> list[str]:
        """The command line; training is distributed over ``processes``, and resumed where it was interrupted.

        Args:
            tools (Path): The folder of the command-line tools.
            processes (int): Processes of each training. Defaults to 1.
        """
        start = [sys.executable]
        arguments = list(self.arguments)
        if self.tool == 'train.py':
            if read_record(self.cfg.work_dir) is not None:
                arguments.append('--resume')
            if processes > 1:
                start += ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
                arguments += ['--launcher', 'pytorch']
        return [*start, str(tools / self.tool), *arguments]


class Pipeline:
    """All steps from the coarse network to the test.

    A pipeline config names one config a phase, relative to itself::

        phases = dict(coarse='../transunet/....py', refine='../ultrarefiner/....py', joint='../ultrarefiner/....py')

    Phase 1 always trains every fold, because out-of-fold predictions need them all. With several datasets, phases 1
    and 3 run on each, and phase 2 trains one refiner a fold on all of them.

    Args:
        config (str): The pipeline config.
        datasets (list[str]): Names of converted datasets.
        folds (list[int], optional): Folds of phases 2 and 3 and of the test. Defaults to all.
        data_dir (str): Folder of the converted datasets.
        out_dir (str): Root of checkpoints/ and predictions/.
        options (dict, optional): Further options, for every phase; for one phase where the key begins with its name, as
            in ``coarse.model.coarse.backbone.init_cfg``.

    Raises:
        FileNotFoundError: If the config or a dataset does not exist.
        ValueError: If the config names no phases, a fold does not exist, or the datasets have different fold counts.
    """

    def __init__(
        self,
        config: str,
        datasets: list[str],
        folds: list[int] | None,
        data_dir: str,
        out_dir: str,
        options: dict | None = None,
    ):
        if not Path(config).is_file():
            raise FileNotFoundError(f'pipeline config {config} does not exist; see configs/pipelines/')
        named = Config.fromfile(config).get('phases', {})
        if set(named) != set(PHASES):
            raise ValueError(
                f'{config}: expected phases = dict(coarse=..., refine=..., joint=...), got {sorted(named)}'
            )
        self.configs = {phase: str((Path(config).parent / named[phase]).resolve()) for phase in PHASES}
        self.datasets = datasets
        self.data_dir, self.out_dir, self.options = data_dir, out_dir, dict(options or {})
        self.splits = {name: Splits.load(Path(data_dir) / name / 'splits.json') for name in datasets}
        counts = {name: splits.n_folds for name, splits in self.splits.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f'the datasets have different numbers of folds: {counts}; convert them with the same --folds'
            )
        self.n_folds = next(iter(counts.values()))
        self.folds = list(range(self.n_folds)) if folds is None else folds
        if not set(self.folds) <= set(range(self.n_folds)):
            raise ValueError(f'folds {self.folds} asked for, the datasets have the folds 0 to {self.n_folds - 1}')

    def plan(self) -> list[tuple[Step, bool]]:
        """All steps in the order in which they have to run, and whether each is done.

        Raises:
            ValueError: If a step was run with other settings or another split, or one that is done rests on one that
                has to be run again.
        """
        waiting: set[Path] = set()
        plan = []
        for step in self.steps():
            done = step.is_done()
            stale = waiting.intersection(step.needs)
            if done and stale:
                raise ValueError(
                    f'{step.output} is there, but {min(stale)}, which it rests on, is missing or unfinished; move the '
                    'former away so that it is made again, or choose another --out-dir'
                )
            if not done:
                waiting.add(step.output)
            plan.append((step, done))
        return plan

    def steps(self) -> Iterator[Step]:
        """All steps, in the order in which they have to run."""
        coarse, refined, predicted = {}, {}, []
        for dataset in self.datasets:
            for fold in range(self.n_folds):
                step = self._train('coarse', f'phase 1: coarse network, {dataset}, fold {fold}', [dataset], fold)
                coarse[dataset, fold] = step.output
                yield step
            step = self._predict(dataset, tuple(coarse[dataset, fold] for fold in range(self.n_folds)))
            predicted.append(step.output)
            yield step
        for fold in self.folds:
            title = f'phase 2: refiner, {" + ".join(self.datasets)}, fold {fold}'
            step = self._train('refine', title, self.datasets, fold, tuple(predicted))
            refined[fold] = step.output
            yield step
        joint = {}
        for dataset in self.datasets:
            for fold in self.folds:
                title = f'phase 3: both together, {dataset}, fold {fold}'
                step = self._train('joint', title, [dataset], fold, (coarse[dataset, fold], refined[fold]))
                joint[dataset, fold] = step.output
                yield step
        for dataset in self.datasets:
            for fold in self.folds:
                yield self._test(dataset, fold, (joint[dataset, fold],))

    def _options(self, phase: str) -> dict:
        """The options of a phase: its own, whose key begins with its name, and those of every phase."""
        own = {
            key.removeprefix(f'{phase}.'): value for key, value in self.options.items() if key.startswith(f'{phase}.')
        }
        shared = {key: value for key, value in self.options.items() if key.partition('.')[0] not in PHASES}
        return {**shared, **own}

    def _cfg(self, phase: str, datasets: list[str], fold: int) -> Config:
        late = dict(dataset=datasets, fold=fold, data_dir=self.data_dir, out_dir=self.out_dir)
        return load_config(self.configs[phase], {**self._options(phase), **late})

    def _arguments(self, phase: str, datasets: list[str], fold: int | None) -> list[str]:
        arguments = ['--dataset', *datasets, '--data-dir', self.data_dir, '--out-dir', self.out_dir]
        if fold is not None:
            arguments += ['--fold', str(fold)]
        options = self._options(phase)
        if options:
            arguments += ['--cfg-options', *(f'{key}={_literal(value)}' for key, value in options.items())]
        return arguments

    def _hashes(self, datasets: list[str]) -> dict[str, str]:
        return {self.splits[name].dataset: self.splits[name].digest for name in datasets}

    def _train(self, phase: str, title: str, datasets: list[str], fold: int, needs: tuple[Path, ...] = ()) -> Step:
        cfg = self._cfg(phase, datasets, fold)
        arguments = (self.configs[phase], *self._arguments(phase, datasets, fold))
        return Step(title, 'train.py', arguments, Path(cfg.work_dir) / RECORD, cfg, self._hashes(datasets), needs)

    def _predict(self, dataset: str, needs: tuple[Path, ...]) -> Step:
        cfg = self._cfg('coarse', [dataset], 0)
        arguments = (self.configs['coarse'], *self._arguments('coarse', [dataset], None))
        output = Path(self.out_dir) / 'predictions' / dataset / 'proof.json'
        title = f'out-of-fold predictions, {dataset}'
        return Step(title, 'predict_folds.py', arguments, output, cfg, self._hashes([dataset]), needs)

    def _test(self, dataset: str, fold: int, needs: tuple[Path, ...]) -> Step:
        cfg = self._cfg('joint', [dataset], fold)
        out = Path(cfg.work_dir) / 'test'
        checkpoint = str(Path(cfg.work_dir) / 'best.pth')
        arguments = (self.configs['joint'], checkpoint, *self._arguments('joint', [dataset], fold))
        arguments += ('--out', str(out), '--show-dir', str(out / 'pictures'))
        title = f'test, {dataset}, fold {fold}'
        return Step(title, 'test.py', arguments, out / 'per_image.json', cfg, self._hashes([dataset]), needs)


def _literal(value: object) -> str:
    """A value as --cfg-options reads it."""
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(_literal(item) for item in value) + ']'
    return str(value)
