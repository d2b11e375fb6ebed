"""An ablation of a tiny phase 2 with the tool itself: three cells, one of which fails, and what a second call does."""

import hashlib
import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image
from run_tool import run_tool

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.apis.step_runner import StepFailed, StepRunner
from ultrarefiner.data_preparation.splits import Splits

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'ablate.py'
CONFIG = """
_base_ = {base!r}
dataset = 'tiny'
model = dict(
    coarse_input=dict(_delete_=True, **{coarse_input!r}),
    refiner=dict(_delete_=True, **{refiner!r}),
    refine_size=(32, 32),
)
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
visualizer = dict(vis_backends=[dict(type='TensorboardVisBackend')])
"""
BASE = 'configs/ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'
PRESETS = "presets = dict(prompts={'broken': {'model.prompt_generator.type': 'NoSuchPrompt'}})\n"


class Bench:
    """A config and its data; `ablate` gives the tool's exit code, what it said, and the steps that it ran."""

    def __init__(self, folder: Path, tiny_root: Path, parts: dict):
        self.folder, self.work_dir = folder, folder / 'ablation'
        inputs = {name: parts[name] for name in ('coarse_input', 'refiner')}
        (folder / 'phase2.py').write_text(CONFIG.format(base=str(ROOT / BASE), **inputs))
        (folder / 'presets.py').write_text(PRESETS)
        self.fixed = ['--presets', folder / 'presets.py', '--data-dir', tiny_root.parent, '--out-dir', folder / 'out']
        write_predictions(tiny_root, folder / 'out' / 'predictions' / 'tiny')

    def ablate(self, *arguments, work_dir=None):
        steps, said, code = [], io.StringIO(), 0

        def run_here(runner, step, *_):
            steps.append(step.title)
            _, tool, *rest = step.command(runner.tools)
            try:
                run_clean(tool, rest)
            except SystemExit as end:
                raise StepFailed(step.title, f'exit code {end.code}') from end

        command = [self.folder / 'phase2.py', *self.fixed, '--work-dir', work_dir or self.work_dir, *arguments]
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.setattr(StepRunner, '_run_process', run_here)
            patch.setenv('COLUMNS', '200')
            try:
                run_clean(TOOL, command)
            except SystemExit as end:
                code = end.code
        return code, said.getvalue(), steps

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.work_dir / 'ablation.csv').set_index('cell')


def run_clean(tool, arguments) -> None:
    """Run a tool as in a process of its own."""
    try:
        run_tool(tool, *arguments)
    finally:
        for kind in (MMLogger, Visualizer, DefaultScope, MessageHub):
            kind._instance_dict.clear()


def write_predictions(root: Path, target: Path) -> None:
    """Out-of-fold predictions that are the true masks, a little too small, with their proof."""
    folder = target / 'predictions'
    folder.mkdir(parents=True)
    splits = Splits.load(root / 'splits.json')
    entries = {}
    for fold, names in enumerate(splits.folds):
        for name in names:
            mask = np.asarray(Image.open(root / 'train' / 'masks' / f'{name}.png').resize((32, 32))) > 127
            np.save(folder / f'{name}.npy', np.where(mask & np.roll(mask, 2, 1), 0.9, 0.1).astype(np.float32))
            entries[name] = dict(fold=fold, sha256=hashlib.sha256((folder / f'{name}.npy').read_bytes()).hexdigest())
    (target / 'proof.json').write_text(json.dumps(dict(split_sha256=splits.digest, entries=entries)))


GRID = ('--grid', 'prompts=mask,box+mask,broken', '--folds', '1')


@pytest.fixture(scope='module')
def bench(tmp_path_factory, tiny_root, small_parts):
    return Bench(tmp_path_factory.mktemp('ablate'), tiny_root, small_parts)


@pytest.fixture(scope='module')
def first(bench):
    """What came of the first call."""
    return bench.ablate(*GRID)


def test_a_failing_cell_does_not_stop_the_rest(bench, first):
    code, said, steps = first
    assert code == 1 and '1 of 3 runs failed' in said
    assert [step.rpartition(': ')[2] for step in steps] == ['training', 'val images'] * 2 + ['training']
    table = bench.table()
    assert list(table['status']) == ['done', 'done', 'failed']
    assert table['failure'].iloc[2] == 'exit code 2' and pd.isna(table['failure'].iloc[0])
    assert '| prompts=broken | 0 |' in (bench.work_dir / 'ablation.md').read_text()
    assert Image.open(bench.work_dir / 'ablation.png').width > 500


def test_the_table_holds_the_validation_images_and_what_they_give(bench, first, tiny_root):
    row = bench.table().loc['prompts=box+mask']
    rows = pd.read_csv(bench.work_dir / 'cells/prompts=box+mask/fold_1/seed_42/val/per_image.csv')
    assert tuple(rows['name']) == Splits.load(tiny_root / 'splits.json').fold_names(1)
    assert row['images'] == len(rows) == 4 and row['prompts'] == 'box+mask'
    for column in ('coarse/Dice', 'refined/Dice', 'delta/IoU', 'refined/HD95'):
        assert row[column] == pytest.approx(rows[column].mean())
    base = pd.read_csv(bench.work_dir / 'cells/prompts=mask/fold_1/seed_42/val/per_image.csv')
    assert row['difference'] == pytest.approx((rows['refined/Dice'] - base['refined/Dice']).mean())


def test_the_table_holds_what_a_cell_costs(bench, first):
    cfg = load_config(bench.work_dir / 'cells/prompts=mask/config.py')
    parameters = list(build_model(cfg).parameters())
    row = bench.table().loc['prompts=mask']
    assert row['parameters'] == sum(parameter.numel() for parameter in parameters)
    assert row['trainable'] == sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    # Two iterations; the process holds PyTorch, which is no less than 100 MiB.
    assert row['seconds'] == pytest.approx(2 * row['seconds_per_iteration']) and row['peak_memory'] > 100 * 2**20


def test_the_config_of_a_cell_is_the_whole_one(bench, first):
    cfg = load_config(bench.work_dir / 'cells/prompts=box+mask/config.py')
    assert [part.type for part in cfg.model.prompt_generator.generators] == ['MomentBox', 'MaskPrompt']
    assert cfg.train_cfg.max_epochs == 1 and cfg.test_dataloader.dataset.subset == 'val'
    assert not (bench.work_dir / 'cells/prompts=broken/fold_1/seed_42/best.pth').exists()


def test_a_second_call_tries_what_failed_and_nothing_else(bench, first):
    before = (bench.work_dir / 'ablation.csv').read_text()
    code, said, steps = bench.ablate(*GRID)
    assert code == 1 and '3 runs, 1 of them to do' in said
    assert steps == ['prompts=broken, fold 1, seed 42: training']
    assert (bench.work_dir / 'ablation.csv').read_text() == before


def test_without_the_failing_cell_everything_is_done(bench, first):
    code, said, steps = bench.ablate('--grid', 'prompts=mask,box+mask', '--folds', '1', '--base', 'prompts=box+mask')
    assert code == 0 and steps == [] and '2 runs, 0 of them to do' in said
    assert pd.isna(bench.table().loc['prompts=box+mask', 'p'])
    assert 0 < bench.table().loc['prompts=mask', 'p'] <= 1


def test_more_cells_folds_and_seeds_may_be_added(bench, first):
    arguments = '--grid', 'prompts=mask,box', '--folds', '0', '1', '--seeds', '42', '7', '--dry-run'
    code, said, steps = bench.ablate(*arguments)
    assert code == 0 and steps == [] and '2 cells, 8 runs, 7 of them to do' in said
    assert 'done     prompts=mask, fold 1, seed 42: training' in said
    assert 'cells/prompts=box/config.py --fold 0 --seed 7 --work-dir' in said
    assert not (bench.work_dir / 'cells/prompts=box').exists()


def test_an_evaluation_of_another_evaluator_is_run_again(bench, first):
    arguments = '--grid', 'prompts=mask', '--folds', '1', '--dry-run'
    _, said, _ = bench.ablate(*arguments, '--cfg-options', "test_evaluator.boundary_metrics=['HD95']")
    assert 'done     prompts=mask, fold 1, seed 42: training' in said
    assert 'waiting  prompts=mask, fold 1, seed 42: val images' in said


def test_an_evaluation_older_than_its_weights_is_run_again(bench, first):
    weights = bench.work_dir / 'cells/prompts=mask/fold_1/seed_42/best.pth'
    times = weights.stat().st_atime_ns, weights.stat().st_mtime_ns
    os.utime(weights)
    _, said, _ = bench.ablate('--grid', 'prompts=mask', '--folds', '1', '--dry-run')
    assert 'done     prompts=mask, fold 1, seed 42: training' in said
    assert 'waiting  prompts=mask, fold 1, seed 42: val images' in said
    os.utime(weights, ns=times)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--grid', 'prompts=mask', '--cfg-options', 'optim_wrapper.optimizer.lr=0.5'], 'ablation of another config'),
        (['--grid', 'prompts=mask', '--folds', '0', '2'], 'folds [2] asked for, the dataset tiny has the folds 0 to 1'),
        (['--grid', 'prompts=mask', '--subset', 'test'], "reads the subset 'val'"),
        (['--grid', 'prompts=mask,box', '--base', 'prompts=point'], "--base 'prompts=point' names 0 cells"),
        (['--grid', 'refiner.encoder=frozen,trained'], 'are the same training'),
        (['--grid', 'prompts=mask', '--cfg-options', 'model.prompt_generator.type=X'], 'has no effect in the cell'),
        (['--grid', 'prompts=mask', '--cfg-options', 'modle.x=1'], 'did you mean model?'),
        (['--grid', 'promts=mask'], 'did you mean prompts?'),
    ],
)
def test_what_cannot_be_meant_is_one_message_and_runs_nothing(bench, first, arguments, message):
    code, said, steps = bench.ablate(*arguments)
    assert (code, steps) == (2, []) and message in said and 'Traceback' not in said


def test_a_changed_preset_is_refused(bench, first):
    changed = bench.folder / 'changed.py'
    changed.write_text(
        "presets = dict(prompts={'mask': {'model.prompt_generator': dict(_delete_=True, type='MomentBox')}})"
    )
    code, said, _ = bench.ablate('--grid', 'prompts=mask', '--folds', '1', '--presets', str(changed))
    assert code == 2 and 'was trained with other settings' in said
