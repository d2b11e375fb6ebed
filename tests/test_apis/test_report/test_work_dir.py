import json

import pytest

from ultrarefiner.apis.report.work_dir import read_work_dirs


def make(path, fold=0, seed=0, lr=0.1, started='20240101_000000'):
    folder = path / started / 'vis_data'
    folder.mkdir(parents=True)
    text = (
        f"fold = {fold}\nrandomness = dict(seed={seed})\nwork_dir = '{path}'\n"
        f"model = dict(type='CoarseToFine', init_from=dict(coarse='x/fold_{fold}/best.pth'))\n"
        f'optim_wrapper = dict(optimizer=dict(lr={lr}))\n'
    )
    (folder / 'config.py').write_text(text)
    (path / 'training.json').write_text(json.dumps(dict(finished=True)))
    return path


def labels(root, *names):
    return [run.label for run in read_work_dirs([make(root / name) for name in names])]


def test_labels_are_what_the_paths_differ_in(tmp_path):
    assert labels(tmp_path / '1', 'a/busi/fold_0', 'b/busi/fold_0') == ['a', 'b']
    assert labels(tmp_path / '2', 'a/fold_0', 'a/fold_1') == ['fold_0', 'fold_1']
    assert labels(tmp_path / '3', 'a/fold_0', 'a/fold_1', 'b/fold_0') == ['a/fold_0', 'a/fold_1', 'b/fold_0']
    assert labels(tmp_path / '4', 'a', 'a/a') == ['.', 'a']
    assert labels(tmp_path / '5', 'a/busi/fold_0') == ['fold_0']


def test_folds_and_seeds_are_one_experiment_other_settings_another(tmp_path):
    paths = [
        make(tmp_path / 'a'),
        make(tmp_path / 'b', fold=3),
        make(tmp_path / 'c', seed=9),
        make(tmp_path / 'd', lr=1),
    ]
    keys = [run.experiment() for run in read_work_dirs(paths)]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_the_last_start_counts(tmp_path):
    make(tmp_path / 'a', lr=1, started='20240101_000000')
    make(tmp_path / 'a', lr=2, started='20240102_000000')
    (run,) = read_work_dirs([tmp_path / 'a'])
    assert run.cfg.optim_wrapper.optimizer.lr == 2


def test_a_config_is_read_and_never_run(tmp_path):
    path = make(tmp_path / 'a')
    trap = tmp_path / 'trap'
    next(path.glob('*/vis_data/config.py')).write_text(f"open({str(trap)!r}, 'w')\n")
    (run,) = read_work_dirs([path])
    assert run.cfg is None and not trap.exists() and 'cannot be read' in ' '.join(run.absent)


def test_an_unfinished_training_is_told(tmp_path):
    path = make(tmp_path / 'a')
    (path / 'training.json').write_text(json.dumps(dict(finished=False)))
    (run,) = read_work_dirs([path])
    assert 'The training has not come to its end.' in run.absent
    with pytest.raises(ValueError, match='given twice'):
        read_work_dirs([path, path])
