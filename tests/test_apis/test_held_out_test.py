"""tools/test.py on a checkpoint, a pair of checkpoints or a package, without a config: the held-out images, unseen."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from run_tool import run_tool
from small_checkpoint import small_checkpoint

from ultrarefiner.data_preparation.splits import Splits

# No worker processes, and no time measured for the fastest matrix product.
FAST = ('--cfg-options', 'test_dataloader.num_workers=0', 'env_cfg.float32_matmul=highest')


@pytest.fixture(autouse=True)
def clean(clean_runner, monkeypatch, tmp_path):
    """Every tool starts as in a process of its own, in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope='module')
def phases(small_parts, tmp_path_factory):
    """Checkpoints of phases 1, 2 and 3 with weights of their own."""
    folder = tmp_path_factory.mktemp('phases')
    return {phase: small_checkpoint(small_parts, folder / f'{phase}.pth', phase, phase) for phase in (1, 2, 3)}


def evaluate(tiny_root, *arguments, dataset='tiny', options=FAST):
    run_tool('test.py', *arguments, '--dataset', dataset, '--data-dir', tiny_root.parent, '--out', 'out', *options)
    return pd.read_csv('out/per_image.csv').set_index('name')


def trained_on(path, target, **changes):
    """A copy of a checkpoint that says so."""
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['meta']['ultrarefiner'].update(changes)
    torch.save(checkpoint, target)
    return target


def refusal(capfd, *arguments):
    with pytest.raises(SystemExit) as ended:
        run_tool('test.py', *arguments)
    assert ended.value.code == 2
    return capfd.readouterr().err


def masks(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in folder.rglob('*.png')}


def test_phase_2_is_tested_on_held_out_images_with_the_coarse_network_of_phase_1(phases, tiny_root, tmp_path):
    rows = evaluate(tiny_root, phases[2], '--coarse', phases[1])
    assert list(rows.index) == ['t8', 't9'] and {'coarse/Dice', 'refined/HD95', 'delta/Dice'} <= set(rows)
    images = tiny_root / 'test' / 'images'
    run_tool('predict.py', phases[2], images, '--coarse', phases[1], '--out', 'predicted', '--save', 'coarse')
    for tested, predicted in (('masks', 'masks'), ('coarse', 'coarse')):
        one, other = masks(tmp_path / 'out' / tested), masks(tmp_path / 'predicted' / predicted)
        assert one.keys() == {'t8', 't9'} and all(np.array_equal(one[name], other[name]) for name in one)
    coarse_alone = evaluate(tiny_root, phases[1], '--overwrite')
    assert np.allclose(coarse_alone['coarse/Dice'], rows['coarse/Dice']) and 'refined/Dice' not in coarse_alone


def test_phase_2_alone_has_no_coarse_network(phases, tiny_root, capfd):
    message = refusal(capfd, phases[2], '--dataset', 'tiny', '--data-dir', tiny_root.parent)
    assert '--coarse' in message and 'CONFIG CHECKPOINT' in message


def test_a_config_needs_its_checkpoint_and_a_package_a_dataset(phases, tmp_path, capfd):
    (tmp_path / 'config.py').write_text('')
    assert 'give the checkpoint that it was trained to' in refusal(capfd, 'config.py')
    run_tool('export.py', phases[3], '--format', 'package', '--out', 'package')
    assert 'say with --dataset' in refusal(capfd, 'package')


def test_a_package_gives_what_its_checkpoint_gives(phases, tiny_root, tmp_path):
    rows = evaluate(tiny_root, phases[3])
    run_tool('export.py', phases[3], '--format', 'package', '--out', 'package')
    again = evaluate(tiny_root, 'package', '--overwrite', '--show-dir', 'pictures')
    pd.testing.assert_frame_equal(rows, again)
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == 2
    # Its folder stays as it was handed on.
    assert {path.name for path in (tmp_path / 'package').iterdir()} >= {'config.py', 'model.safetensors'}
    assert not any(path.is_dir() for path in (tmp_path / 'package').iterdir())


def test_images_that_either_network_saw_are_not_tested(phases, tiny_root, tmp_path, capfd):
    digest = Splits.load(tiny_root / 'splits.json').digest
    same = trained_on(phases[1], tmp_path / 'same.pth', splits=dict(tiny=digest, elsewhere='f' * 64))
    other = trained_on(phases[1], tmp_path / 'other.pth', splits=dict(tiny='f' * 64))
    evaluate(tiny_root, phases[2], '--coarse', same)
    given = '--dataset', 'tiny', '--data-dir', tiny_root.parent
    assert 'other.pth was trained on the split ffffff' in refusal(capfd, phases[2], '--coarse', other, *given)
    refiner = trained_on(phases[2], tmp_path / 'refiner.pth', splits=dict(tiny='f' * 64))
    assert 'refiner.pth was trained on the split ffffff' in refusal(capfd, refiner, '--coarse', same, *given)


def test_images_of_a_fold_are_tested_by_its_model_alone(phases, tiny_root, tmp_path, capfd):
    digest = Splits.load(tiny_root / 'splits.json').digest
    model = trained_on(phases[3], tmp_path / 'fold_1.pth', splits=dict(tiny=digest), fold=1)
    options = (*FAST, 'test_dataloader.dataset.subset=val')
    rows = evaluate(tiny_root, model, '--fold', 1, options=options)
    assert list(rows.index) == ['t1', 't3', 't5', 't7']
    given = '--fold', 0, '--dataset', 'tiny', '--data-dir', tiny_root.parent, *options
    assert 'with fold 1 of tiny held out, this run holds out fold 0' in refusal(capfd, model, *given)


def test_a_merged_dataset_is_known_by_its_parts(phases, tiny_root, tmp_path, capfd):
    """A model of the whole is not tested on another split of a part, nor the other way round."""
    merged = tmp_path / 'data' / 'merged'
    shutil.copytree(tiny_root, merged)
    digest = Splits.load(merged / 'splits.json').digest
    report = dict(sources=dict(a=dict(dataset='A', splits_sha256='a' * 64)))
    (merged / 'report.json').write_text(json.dumps(report))
    given = '--dataset', 'merged', '--data-dir', merged.parent
    part = trained_on(phases[3], tmp_path / 'part.pth', splits=dict(A='b' * 64))
    assert 'part.pth was trained on the split bbbbbb' in refusal(capfd, part, *given)
    fine = trained_on(phases[3], tmp_path / 'fine.pth', splits=dict(A='a' * 64, tiny=digest))
    assert len(evaluate(merged, fine, dataset='merged')) == 2
