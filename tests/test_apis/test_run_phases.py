"""All phases on a tiny dataset, with the tools themselves: what is done is skipped, and a leak is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from run_tool import run_tool

from ultrarefiner.apis.out_of_fold import seen_groups
from ultrarefiner.apis.phases import Pipeline
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation.per_image_csv import read_means

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CONFIGS = TOOLS.parent / 'configs'
PHASES = dict(
    coarse='transunet/transunet_small_1xb8-4e_busi-96x96.py',
    refine='ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py',
    joint='ultrarefiner/ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py',
)
TINY = """
_base_ = {base!r}
dataset = 'tiny'
model = dict(
    {parts}
)
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
visualizer = dict(vis_backends=[dict(type='TensorboardVisBackend')])
"""


def write_tiny_configs(folder: Path, parts: dict) -> Path:
    """The CPU family with the two-block models of the tests, one epoch each."""
    parts = dict(parts, coarse=dict(parts['coarse'], name='transunet'))
    own = {
        'coarse': ('coarse', 'coarse_input'),
        'refine': ('coarse_input', 'refiner', 'refine_size'),
        'joint': ('coarse', 'coarse_input', 'refiner', 'refine_size'),
    }
    for phase, base in PHASES.items():
        lines = [
            f'{name}=dict(_delete_=True, **{parts[name]!r}),'
            if isinstance(parts[name], dict)
            else f'{name}={parts[name]!r},'
            for name in own[phase]
        ]
        (folder / f'{phase}.py').write_text(TINY.format(base=str(CONFIGS / base), parts='\n    '.join(lines)))
    pipeline = folder / 'pipeline.py'
    pipeline.write_text("phases = dict(coarse='coarse.py', refine='refine.py', joint='joint.py')\n")
    return pipeline


@pytest.fixture(scope='module')
def finished(tiny_root, small_parts, tmp_path_factory):
    """A pipeline run to its end."""
    folder = tmp_path_factory.mktemp('pipeline')
    pipeline = Pipeline(
        str(write_tiny_configs(folder, small_parts)), ['tiny'], [1], str(tiny_root.parent), str(folder / 'out')
    )
    for step in pipeline.steps():
        assert not step.is_done()
        run_tool(*step.command(TOOLS)[1:])
        assert step.is_done()
    return pipeline


@pytest.fixture(autouse=True)
def clean(clean_runner):
    """Every tool starts as in a process of its own."""


def test_checkpoints_lie_where_the_method_says(finished):
    out = Path(finished.out_dir)
    expected = ['transunet/tiny/fold_0', 'transunet/tiny/fold_1', 'sam_finetuned/fold_1', 'ultrarefiner/tiny/fold_1']
    assert sorted(str(path.parent.relative_to(out / 'checkpoints')) for path in out.rglob('best.pth')) == sorted(
        expected
    )


def test_every_training_image_is_predicted_once_by_the_fold_that_holds_it_out(finished, tiny_root):
    splits = Splits.load(tiny_root / 'splits.json')
    target = Path(finished.out_dir) / 'predictions' / 'tiny'
    assert {path.stem for path in (target / 'predictions').iterdir()} == set(splits.train)
    proof = json.loads((target / 'proof.json').read_text())
    entries = proof['entries']
    assert proof['n_images_whose_group_was_seen'] == 0
    assert all(name in splits.fold_names(entry['fold']) for name, entry in entries.items())
    probability = np.load(target / 'predictions' / f'{splits.train[0]}.npy')
    assert probability.shape == (32, 32) and 0 <= probability.min() <= probability.max() <= 1


def test_checkpoints_say_where_they_come_from(finished, tiny_root):
    splits = Splits.load(tiny_root / 'splits.json')
    for path, stages in (('sam_finetuned/fold_1', {'coarse', 'refiner'}), ('transunet/tiny/fold_1', {'coarse'})):
        saved = torch.load(Path(finished.out_dir) / 'checkpoints' / path / 'best.pth', weights_only=True)
        made = saved['meta']['ultrarefiner']
        assert made['splits'] == {'tiny': splits.digest} and made['fold'] == 1
        assert set(made['input_profiles']) == stages


def test_results_of_every_test_image_are_written(finished):
    test = Path(finished.out_dir) / 'checkpoints' / 'ultrarefiner' / 'tiny' / 'fold_1' / 'test'
    rows = pd.read_csv(test / 'per_image.csv')
    assert list(rows.name) == ['t8', 't9']
    assert {'refined/HD95', 'delta/ASSD', 'coarse/NSD', 'refined/BoundaryIoU'} <= set(rows)
    means, images = read_means(test / 'per_image.csv')
    assert images == 2 and means['refined/Dice'] == pytest.approx(rows['refined/Dice'].mean())
    assert means['delta/Dice'] == pytest.approx(means['refined/Dice'] - means['coarse/Dice'])
    for folder in ('pictures', 'masks'):
        assert sorted(path.stem for path in (test / folder).rglob('*.png')) == ['t8', 't9']


def test_a_second_start_finds_everything_done(finished):
    assert all(done for _, done in finished.plan())


def test_other_settings_are_not_taken_for_done(finished, tiny_root):
    changed = again(finished, options={'coarse.optim_wrapper.optimizer.lr': 0.5})
    with pytest.raises(ValueError, match='fold_0 was trained with other settings'):
        changed.plan()


def test_options_of_one_phase_leave_the_others_alone(finished):
    changed = again(finished, options={'joint.optim_wrapper.optimizer.lr': 0.5})
    with pytest.raises(ValueError, match='ultrarefiner/tiny/fold_1 was trained with other settings'):
        changed.plan()


def test_another_split_is_not_taken_for_done(finished, tiny_root, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(tiny_root, data / 'tiny')
    splits = Splits.load(tiny_root / 'splits.json')
    Splits('tiny', 'grouped', 1, splits.train, splits.test, splits.folds[::-1], splits.groups).save(
        data / 'tiny' / 'splits.json'
    )
    with pytest.raises(ValueError, match='training.json was made with another split of tiny'):
        again(finished, data_dir=data).plan()


def test_what_rests_on_a_missing_step_is_not_taken_for_done(finished, tmp_path):
    out = copy_run(finished, tmp_path)
    shutil.rmtree(out / 'checkpoints/transunet/tiny/fold_0')
    with pytest.raises(ValueError, match=r'proof.json is there, but .*fold_0/training.json, which it rests on'):
        again(finished, out_dir=out).plan()


def test_predictions_of_another_coarse_network_are_not_taken_for_done(finished, tmp_path):
    """Two pipelines in one folder: their checkpoints lie apart, their predictions and refiners do not."""
    out = copy_run(finished, tmp_path)
    shutil.copytree(out / 'checkpoints/transunet', out / 'checkpoints/other')
    with pytest.raises(ValueError, match=r'proof.json: the predictions were made by .*/transunet/tiny/fold_0/best.pth'):
        again(finished, out_dir=out, options={'coarse.coarse_name': 'other', 'joint.coarse_name': 'other'}).plan()


def test_an_interrupted_training_is_resumed(finished, tmp_path):
    step = next(finished.steps())
    assert '--resume' in step.command(TOOLS)
    fresh = next(again(finished, out_dir=tmp_path).steps())
    assert '--resume' not in fresh.command(TOOLS)
    assert step.command(TOOLS, processes=2)[1:4] == ['-m', 'torch.distributed.run', '--standalone']


def again(finished, data_dir=None, out_dir=None, options=None) -> Pipeline:
    config = str(Path(finished.configs['coarse']).parent / 'pipeline.py')
    folders = str(data_dir or finished.data_dir), str(out_dir or finished.out_dir)
    return Pipeline(config, ['tiny'], [1], *folders, options)


def copy_run(finished, tmp_path) -> Path:
    out = tmp_path / 'out'
    shutil.copytree(finished.out_dir, out, ignore=shutil.ignore_patterns('2*', 'epoch_*', 'vis_data'))
    return out


def failing(command: list[str], capfd) -> str:
    """Run a tool that has to end with exit code 2 and one message."""
    with pytest.raises(SystemExit) as stop:
        run_tool(*command[1:])
    assert stop.value.code == 2
    message = capfd.readouterr().err
    assert 'Traceback' not in message
    return message


def predict_command(finished, out, *more) -> list[str]:
    late = ['--dataset', 'tiny', '--data-dir', finished.data_dir, '--out-dir', str(out)]
    return ['python', str(TOOLS / 'predict_folds.py'), finished.configs['coarse'], *late, *more]


def train_command(finished, phase, out, *more) -> list[str]:
    late = ['--dataset', 'tiny', '--fold', '1', '--data-dir', finished.data_dir, '--out-dir', str(out)]
    return ['python', str(TOOLS / 'train.py'), finished.configs[phase], *late, *more]


def test_predictions_are_not_overwritten_silently(finished, tmp_path, capfd):
    assert '--overwrite' in failing(predict_command(finished, copy_run(finished, tmp_path)), capfd)


def test_a_missing_fold_stops_the_prediction(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    (out / 'checkpoints/transunet/tiny/fold_0/best.pth').unlink()
    message = failing(predict_command(finished, out, '--overwrite'), capfd)
    assert '1 of 2 folds have no checkpoint' in message and 'fold_0' in message


def test_a_checkpoint_of_the_wrong_fold_stops_the_prediction(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    shutil.copy(out / 'checkpoints/transunet/tiny/fold_0/best.pth', out / 'checkpoints/transunet/tiny/fold_1/best.pth')
    message = failing(predict_command(finished, out, '--overwrite'), capfd)
    assert 'trained with fold 0, expected 1' in message
    assert (out / 'predictions/tiny/proof.json').is_file(), 'the earlier predictions are still whole'


def test_a_missing_prediction_stops_phase_2(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    (out / 'predictions/tiny/predictions/t3.npy').unlink()
    message = failing(train_command(finished, 'refine', out, '--work-dir', str(tmp_path / 'new')), capfd)
    assert 't3' in message and 'predict_folds.py' in message


def test_a_missing_phase_stops_phase_3(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    (out / 'checkpoints/sam_finetuned/fold_1/best.pth').unlink()
    command = train_command(finished, 'joint', out, '--work-dir', str(tmp_path / 'new'))
    assert 'an earlier phase makes' in failing(command, capfd)


def test_phases_of_different_splits_are_refused(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    path = out / 'checkpoints/transunet/tiny/fold_1/best.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta']['ultrarefiner']['splits'] = {'tiny': 'f' * 64}
    torch.save(checkpoint, path)
    message = failing(train_command(finished, 'joint', out, '--work-dir', str(tmp_path / 'new')), capfd)
    assert 'was trained on the split ffffffffffff of tiny' in message


def test_a_coarse_network_that_saw_the_fold_is_refused_in_phase_3(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    transunet = out / 'checkpoints/transunet/tiny'
    shutil.rmtree(out / 'checkpoints/ultrarefiner')
    shutil.copy(transunet / 'fold_0/best.pth', transunet / 'fold_1/best.pth')
    message = failing(train_command(finished, 'joint', out), capfd)
    assert 'with fold 0 of tiny held out, this run holds out fold 1' in message


def test_a_training_is_not_overwritten(finished, tmp_path, capfd):
    out = copy_run(finished, tmp_path)
    before = (out / 'checkpoints/sam_finetuned/fold_1/best.pth').read_bytes()
    assert 'holds a training already; --resume' in failing(train_command(finished, 'refine', out), capfd)
    assert (out / 'checkpoints/sam_finetuned/fold_1/best.pth').read_bytes() == before


def test_a_resumed_training_of_another_split_is_refused(finished, tiny_root, tmp_path, capfd):
    data = tmp_path / 'data'
    shutil.copytree(tiny_root, data / 'tiny')
    splits = Splits.load(tiny_root / 'splits.json')
    moved = [*splits.test[:1], *splits.train[2:]], [*splits.train[:2], *splits.test[1:]]
    folds = [[name for name in moved[0] if name in fold] for fold in splits.folds]
    folds[0] += [name for name in splits.test[:1]]
    for name in (*splits.train[:2], *splits.test[:1]):
        there, here = ('train', 'test') if name in splits.train else ('test', 'train')
        for kind in ('images', 'masks'):
            shutil.move(data / 'tiny' / there / kind / f'{name}.png', data / 'tiny' / here / kind / f'{name}.png')
    Splits('tiny', 'grouped', 1, *moved, folds, splits.groups).save(data / 'tiny' / 'splits.json')
    out = copy_run(finished, tmp_path)
    command = train_command(finished, 'coarse', out)
    command[command.index(finished.data_dir)] = str(data)
    assert 'was trained on the split' in failing([*command, '--resume'], capfd)

    checkpoint = str(out / 'checkpoints/ultrarefiner/tiny/fold_1/best.pth')
    command[1:3] = [str(TOOLS / 'test.py'), finished.configs['joint'], checkpoint]
    assert 'was trained on the split' in failing([*command, '--work-dir', str(tmp_path / 'test')], capfd)


def test_a_checkpoint_of_another_model_stops_the_test(finished, tmp_path, capfd):
    out = Path(finished.out_dir)
    command = train_command(finished, 'joint', out)
    command[1:3] = [
        str(TOOLS / 'test.py'),
        finished.configs['joint'],
        str(out / 'checkpoints/transunet/tiny/fold_1/best.pth'),
    ]
    assert 'missing: refiner.' in failing([*command, '--work-dir', str(tmp_path)], capfd)


def test_a_model_with_other_classes_than_the_dataset_is_refused(finished, tmp_path, capfd):
    options = ['--work-dir', str(tmp_path), '--cfg-options', 'model.coarse.decode_head.num_classes=3']
    message = failing(train_command(finished, 'coarse', tmp_path, *options), capfd)
    assert "foreground classes ('lesion',), the coarse network makes 2" in message


@pytest.mark.parametrize(
    'option, expected',
    [
        ('optim_wrapper.optimizer.type=Adamm', 'Adamm'),
        ('custom_imports.imports=no_such_module', 'no_such_module'),
        ('model.coarse.type=NoSuchSegmentor', 'NoSuchSegmentor'),
    ],
)
def test_a_wrong_name_in_a_config_is_one_message(finished, tmp_path, capfd, option, expected):
    command = train_command(finished, 'coarse', tmp_path, '--work-dir', str(tmp_path), '--cfg-options', option)
    assert expected in failing(command, capfd)


def test_an_absent_checkpoint_to_go_on_from_is_one_message(finished, tmp_path, capfd):
    command = train_command(finished, 'coarse', tmp_path, '--work-dir', str(tmp_path), '--resume', 'none.pth')
    assert 'none.pth does not exist' in failing(command, capfd)


def test_a_validation_that_an_interruption_prevented_is_made_up_for(finished, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.ValLoop.run', lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit, match='130'):
            run_tool(*train_command(finished, 'coarse', tmp_path)[1:])
    work_dir = tmp_path / 'checkpoints/transunet/tiny/fold_1'
    assert not (work_dir / 'best.pth').exists() and not json.loads((work_dir / 'training.json').read_text())['finished']
    run_tool(*train_command(finished, 'coarse', tmp_path, '--resume')[1:])
    assert (work_dir / 'best.pth').is_file() and json.loads((work_dir / 'training.json').read_text())['finished']


def test_results_of_a_test_are_replaced_only_when_asked(finished, tmp_path, capfd):
    step = next(step for step in finished.steps() if step.tool == 'test.py')
    command = step.command(TOOLS)[1:]
    command[command.index('--out') + 1] = str(tmp_path)
    (tmp_path / 'per_image.json').write_text('{}')
    assert 'has the results of a test' in failing(['python', *command], capfd)
    assert (tmp_path / 'per_image.json').read_text() == '{}'
    run_tool(*command, '--overwrite')
    assert json.loads((tmp_path / 'per_image.json').read_text())['images'] == 2
    (tmp_path / 'inference.json').write_text('{}')
    assert 'has results of tools/predict.py' in failing(['python', *command, '--overwrite'], capfd)


def test_groups_that_a_model_saw_are_counted():
    groups = {'a': 'patient 1', 'b': 'patient 1', 'c': 'patient 2', 'd': 'patient 3', 't': 'patient 4'}
    splits = Splits('x', 'method', 0, ['a', 'b', 'c', 'd'], ['t'], [['a', 'c'], ['b', 'd']], groups)
    assert seen_groups(splits) == 2
