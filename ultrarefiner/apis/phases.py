"""Pipeline: the phases of one or more datasets in order, skipping what is done."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ..data_preparation.splits import Splits
from .config import load_config
from .launch import FINISHED

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
    """

    title: str
    tool: str
    arguments: tuple[str, ...]
    output: Path
    cfg: Config

    def is_done(self) -> bool:
        """Whether the step has been run to its end with these settings.

        Raises:
            ValueError: If it was run with other settings.
        """
        if not self.output.is_file():
            return False
        if self.output.name == FINISHED:
            made = json.loads(self.output.read_text())['fingerprint']
            if made != self.cfg.fingerprint:
                raise ValueError(
                    f'{self.output.parent} was trained with other settings than the config has now; choose another '
                    f'--out-dir, or move the folder away'
                )
        return True

    def command(self, tools: Path, processes: int = 1) -> list[str]:
        """The command line; training is distributed over ``processes``, and resumed where it was interrupted.

        Args:
            tools (Path): The folder of the command-line tools.
            processes (int): Processes of each training. Defaults to 1.
        """
        start = [sys.executable]
        arguments = list(self.arguments)
        if self.tool == 'train.py':
            if (Path(self.cfg.work_dir) / 'last_checkpoint').is_file():
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
        options (dict, optional): Further options, for every phase.

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
        counts = {name: Splits.load(Path(data_dir) / name / 'splits.json').n_folds for name in datasets}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f'the datasets have different numbers of folds: {counts}; convert them with the same --folds'
            )
        self.n_folds = next(iter(counts.values()))
        self.folds = list(range(self.n_folds)) if folds is None else folds
        if not set(self.folds) <= set(range(self.n_folds)):
            raise ValueError(f'folds {self.folds} asked for, the datasets have the folds 0 to {self.n_folds - 1}')

    def steps(self) -> Iterator[Step]:
        """All steps, in the order in which they have to run."""
        for dataset in self.datasets:
            for fold in range(self.n_folds):
                yield self._train('coarse', f'phase 1: coarse network, {dataset}, fold {fold}', [dataset], fold)
            yield self._predict(dataset)
        for fold in self.folds:
            yield self._train(
                'refine', f'phase 2: refiner, {" + ".join(self.datasets)}, fold {fold}', self.datasets, fold
            )
        for dataset in self.datasets:
            for fold in self.folds:
                yield self._train('joint', f'phase 3: both together, {dataset}, fold {fold}', [dataset], fold)
        for dataset in self.datasets:
            for fold in self.folds:
                yield self._test(dataset, fold)

    def _cfg(self, phase: str, datasets: list[str], fold: int) -> Config:
        late = dict(dataset=datasets, fold=fold, data_dir=self.data_dir, out_dir=self.out_dir)
        return load_config(self.configs[phase], {**self.options, **late})

    def _arguments(self, datasets: list[str], fold: int | None) -> list[str]:
        arguments = ['--dataset', *datasets, '--data-dir', self.data_dir, '--out-dir', self.out_dir]
        if fold is not None:
            arguments += ['--fold', str(fold)]
        if self.options:
            arguments += ['--cfg-options', *(f'{key}={_literal(value)}' for key, value in self.options.items())]
        return arguments

    def _train(self, phase: str, title: str, datasets: list[str], fold: int) -> Step:
        cfg = self._cfg(phase, datasets, fold)
        arguments = (self.configs[phase], *self._arguments(datasets, fold))
        return Step(title, 'train.py', arguments, Path(cfg.work_dir) / FINISHED, cfg)

    def _predict(self, dataset: str) -> Step:
        cfg = self._cfg('coarse', [dataset], 0)
        arguments = (self.configs['coarse'], *self._arguments([dataset], None))
        output = Path(self.out_dir) / 'predictions' / dataset / 'proof.json'
        return Step(f'out-of-fold predictions, {dataset}', 'predict_folds.py', arguments, output, cfg)

    def _test(self, dataset: str, fold: int) -> Step:
        cfg = self._cfg('joint', [dataset], fold)
        work_dir = Path(cfg.work_dir)
        out = work_dir / 'test'
        arguments = (self.configs['joint'], str(work_dir / 'best.pth'), *self._arguments([dataset], fold))
        arguments += ('--out', str(out), '--show-dir', str(out / 'pictures'))
        return Step(f'test, {dataset}, fold {fold}', 'test.py', arguments, out / 'per_image.csv', cfg)


def _literal(value) -> str:
    """A value as --cfg-options reads it."""
    if isinstance(value, (list, tuple)):
        return '[' + ','.join(_literal(item) for item in value) + ']'
    return str(value)
