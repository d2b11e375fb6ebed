"""The runs of an ablation: what is trained, what is evaluated, and where it goes; nothing is run here."""

from pathlib import Path

import pytest

from ultrarefiner.apis.ablation import Ablation
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.presets import Presets
from ultrarefiner.data_preparation.splits import Splits

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PHASE1 = CONFIGS / 'transunet' / 'transunet_small_1xb8-4e_busi-96x96.py'
PHASE2 = CONFIGS / 'ultrarefiner' / 'ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py'


def ablation(config, axes, tiny_root, work_dir, **options) -> Ablation:
    arguments = {name: options.pop(name) for name in ('folds', 'seeds', 'subset') if name in options}
    options = dict(dataset=['tiny'], data_dir=str(tiny_root.parent), **options)
    presets = Presets([CONFIGS / 'ablation' / 'presets.py'])
    return Ablation(str(config), axes, presets, work_dir / 'ablation', options=options, **arguments)


def test_every_cell_is_run_on_every_fold_with_every_seed(tiny_root, tmp_path):
    made = ablation(
        PHASE1, {'optim_wrapper.optimizer.lr': ['0.1', '0.2']}, tiny_root, tmp_path, folds=[0, 1], seeds=[3]
    )
    assert [run.training.title for run in made.runs] == [
        f'optim_wrapper.optimizer.lr={lr}, fold {fold}, seed 3: training' for lr in ('0.1', '0.2') for fold in (0, 1)
    ]
    cfg = made.runs[3].training.cfg
    assert (cfg.fold, cfg.randomness.seed, cfg.optim_wrapper.optimizer.lr) == (1, 3, 0.2)
    assert cfg.work_dir == str(tmp_path / 'ablation/cells/optim_wrapper.optimizer.lr=0.2/fold_1/seed_3')
    assert len({run.training.cfg.fingerprint for run in made.runs}) == 4
    assert all(run.waiting() == (run.training, run.evaluation) for run in made.runs)


def test_every_fold_has_the_seed_that_the_config_gives_it(tiny_root, tmp_path):
    config = tmp_path / 'seeded.py'
    config.write_text(f"_base_ = '{PHASE1}'\nrandomness = dict(seed='{{fold}}')\n")
    made = ablation(config, {'optim_wrapper.optimizer.lr': ['0.1', '0.2']}, tiny_root, tmp_path, folds=[0, 1])
    assert [Path(run.training.cfg.work_dir).parts[-2:] for run in made.runs] == 2 * [
        ('fold_0', 'seed_0'),
        ('fold_1', 'seed_1'),
    ]
    assert [run.training.cfg.randomness.seed for run in made.runs] == [0, 1, 0, 1]
    assert made.seeds == [0, 1]


def test_the_file_of_a_cell_is_the_config_that_was_planned(tiny_root, tmp_path):
    made = ablation(PHASE2, {'prompts': ['box'], 'lora': ['4']}, tiny_root, tmp_path)
    made.write_configs()
    run = made.runs[0]
    read = load_config(run.training.arguments[0], dict(work_dir=run.training.cfg.work_dir))
    assert read.fingerprint == run.training.cfg.fingerprint
    plain = load_config(PHASE2, dict(dataset='tiny', data_dir=str(tiny_root.parent)))
    assert read.fingerprint != plain.fingerprint
    plain.model.prompt_generator, plain.model.refiner.encoder = read.model.prompt_generator, read.model.refiner.encoder
    assert plain.model == read.model, 'nothing else differs'


@pytest.mark.parametrize('subset, file, expected', [('val', 'val.py', 'val'), ('test', 'config.py', 'test')])
def test_the_subset_that_is_asked_for_is_evaluated(tiny_root, tmp_path, subset, file, expected):
    made = ablation(PHASE1, {'optim_wrapper.optimizer.lr': ['0.1']}, tiny_root, tmp_path, subset=subset)
    made.write_configs()
    run = made.runs[0]
    assert Path(run.evaluation.arguments[0]).name == file
    cfg = load_config(run.evaluation.arguments[0])
    assert cfg.test_dataloader.dataset.subset == expected and cfg.test_evaluator.stages == ('coarse',)
    assert run.csv == Path(run.training.cfg.work_dir) / subset / 'per_image.csv'
    assert load_config(run.training.arguments[0]).test_dataloader.dataset.subset == 'test'


def test_groups_are_those_of_the_split(tiny_root, tmp_path):
    made = ablation(PHASE1, {'optim_wrapper.optimizer.lr': ['0.1']}, tiny_root, tmp_path)
    splits = Splits.load(tiny_root / 'splits.json')
    assert made.groups() == {('tiny', name): f'tiny/{group}' for name, group in splits.groups.items()}


def test_initial_weights_make_cells_different(tiny_root, tmp_path):
    made = ablation(PHASE1, {'load_from': ['a.pth', 'b.pth', 'None']}, tiny_root, tmp_path)
    assert [run.training.cfg.load_from for run in made.runs] == ['a.pth', 'b.pth', None]


def test_an_option_that_a_cell_overrides_is_refused(tiny_root, tmp_path):
    options = {'model.refiner.arch.depth': 2}
    kept = ablation(PHASE2, {'refiner': ['conv-small']}, tiny_root, tmp_path, **{'train_cfg.max_epochs': 1})
    assert kept.runs[0].training.cfg.train_cfg.max_epochs == 1
    with pytest.raises((KeyError, ValueError), match='model.refiner.arch.depth'):
        ablation(PHASE2, {'refiner': ['sam-small', 'conv-small']}, tiny_root, tmp_path, **options)


def test_a_dataset_that_is_not_there_is_one_message(tmp_path):
    presets = Presets([CONFIGS / 'ablation' / 'presets.py'])
    options = dict(dataset='tiny', data_dir=str(tmp_path))
    with pytest.raises(ValueError, match=r'splits.json: absent; convert the dataset'):
        Ablation(str(PHASE1), {'prompts': ['box']}, presets, tmp_path, options=options)


@pytest.mark.parametrize('axis', ['fold', 'randomness.seed', 'refiner_size', 'dataset'])
def test_an_axis_that_changes_no_training_is_refused(tiny_root, tmp_path, axis):
    message = 'are the same training|neither an axis|has no effect'
    with pytest.raises((KeyError, ValueError), match=message):
        ablation(PHASE1, {axis: ['0', '1']}, tiny_root, tmp_path)
