"""The training log: parts of a training joined, and what is best in it."""

import json

import pytest

from ultrarefiner.evaluation.training_log import best_row, default_metric, loss_keys, metric_keys, read_training_log


def write_part(work_dir, start, lines):
    path = work_dir / start / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(line if isinstance(line, str) else json.dumps(line) for line in lines) + '\n')
    return path


def train(iteration, loss=1.0, epoch=None, **more):
    counted = {} if epoch is None else dict(epoch=epoch)
    return dict(lr=0.1, loss=loss, time=0.5, **more, **counted, iter=iteration, step=iteration)


def val(step, **scores):
    return {**{name.replace('_', '/', 1): score for name, score in scores.items()}, 'time': 0.1, 'step': step}


def test_a_resumed_training_is_one_log_and_what_was_done_again_counts_once(tmp_path):
    first = [train(10, 9.0, 1), train(20, 8.0, 1), val(1, refined_Dice=0.5), train(30, 7.0, 2), train(40, 6.0, 2)]
    write_part(tmp_path, '20260102_000000', [train(30, 5.0, 2), train(40, 4.0, 2), val(2, refined_Dice=0.7)])
    write_part(tmp_path, '20260101_000000', first)
    write_part(tmp_path / 'test', '20260103_000000', [val(0, refined_Dice=0.9)])  # of tools/test.py, no training
    log = read_training_log(tmp_path)
    assert list(log.columns[:3]) == ['kind', 'epoch', 'iter'] and list(log.index) == list(range(6))
    assert list(log['kind']) == ['train', 'train', 'val', 'train', 'train', 'val']
    assert list(log['epoch']) == [1, 1, 1, 2, 2, 2] and list(log['iter']) == [10, 20, 20, 30, 40, 40]
    assert list(log['loss'].dropna()) == [9, 8, 5, 4] and list(log['refined/Dice'].dropna()) == [0.5, 0.7]
    assert len(read_training_log(tmp_path / '20260101_000000')) == 5


def test_a_training_without_epochs_has_its_iterations(tmp_path):
    write_part(tmp_path, 'a', [train(10), val(10, coarse_Dice=0.1), train(20), val(20, coarse_Dice=0.2)])
    log = read_training_log(tmp_path)
    assert 'epoch' not in log and list(log['iter']) == [10, 10, 20, 20]


def test_the_last_line_may_be_cut_and_no_other(tmp_path):
    path = write_part(tmp_path, 'a', [train(10, epoch=1), '{"lr": 0.1, "lo'])
    assert len(read_training_log(tmp_path)) == 1
    path.write_text('{"lr": 0.\n' + json.dumps(train(10, epoch=1)))
    with pytest.raises(ValueError, match='line 1 is no JSON'):
        read_training_log(tmp_path)


@pytest.mark.parametrize('lines', [[[1, 2]], [dict(loss=1.0)], ['oops']])
def test_other_files_are_refused(tmp_path, lines):
    write_part(tmp_path, 'a', lines)
    with pytest.raises(ValueError, match=r'scalars\.json: line 1'):
        read_training_log(tmp_path)


def test_nothing_there_is_told_apart_from_nothing_yet(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist; expected the work directory'):
        read_training_log(tmp_path / 'absent')
    with pytest.raises(FileNotFoundError, match='holds no training log'):
        read_training_log(tmp_path)
    write_part(tmp_path, 'a', [])
    with pytest.raises(ValueError, match='nothing is logged yet'):
        read_training_log(tmp_path)


def test_the_best_validation(tmp_path):
    scores = [(0.3, 0.6, 9.0), (0.4, 0.8, 7.0), (0.5, 0.8, 8.0)]
    lines = []
    for epoch, (coarse, refined, distance) in enumerate(scores, start=1):
        lines += [train(epoch * 10, epoch=epoch, loss_b=1.0, loss_a=2.0)]
        lines += [val(epoch, coarse_Dice=coarse, refined_Dice=refined, coarse_HD95=distance)]
    write_part(tmp_path, 'a', lines)
    log = read_training_log(tmp_path)
    assert default_metric(log) == 'refined/Dice' and best_row(log)['epoch'] == 2  # the first of equals
    assert best_row(log, 'coarse/Dice')['epoch'] == 3
    assert best_row(log, 'coarse/HD95')['epoch'] == 2  # a distance: smaller is better
    assert best_row(log, 'refined/HD95') is None
    assert default_metric(log.drop(columns='refined/Dice')) == 'coarse/Dice'
    assert loss_keys(log) == ['loss', 'loss_a', 'loss_b']
    assert metric_keys(log) == dict(Dice=['coarse/Dice', 'refined/Dice'], HD95=['coarse/HD95'])
