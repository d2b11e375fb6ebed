"""The learning curves: which values of which runs are drawn, and what the table says."""

import json

import numpy as np
import pytest
from PIL import Image
from run_tool import load_tool

from ultrarefiner.evaluation.training_log import read_training_log


@pytest.fixture(scope='module')
def tool():
    return load_tool('analysis_tools/analyze_logs.py')


def make_run(work_dir, dice=(0.5, 0.7, 0.6), losses=('loss_a', 'loss_b'), memory=None, finished=True):
    lines = []
    for epoch, score in enumerate(dice, start=1):
        for iteration in (10 * epoch - 5, 10 * epoch):
            line = dict.fromkeys(losses, 1 / epoch) | dict(lr=0.1, loss=2 / epoch, time=0.1 * epoch, epoch=epoch)
            line |= {} if memory is None else dict(memory=memory)
            lines.append(line | dict(iter=iteration, step=iteration))
        scores = {'coarse/Dice': 0.4, 'refined/Dice': score, 'delta/Dice': score - 0.4, 'refined/IoU': score / 2}
        lines.append(scores | dict(time=9.0, step=epoch))
    path = work_dir / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, lines)))
    record = dict(finished=finished, cost=dict(peak_memory=3 * 2**20))
    (work_dir / 'training.json').write_text(json.dumps(record))
    return work_dir


def panels(tool, keys, *work_dirs):
    made = tool.panels_of({path.name: read_training_log(path) for path in work_dirs}, keys)
    return {panel.title: [curve.name for curve in panel.curves] for panel in made}, made


def test_one_run_shows_its_losses_and_stages(tool, tmp_path):
    names, made = panels(tool, None, make_run(tmp_path / 'a'))
    assert names == {
        'losses': ['loss', 'loss_a', 'loss_b'],
        'learning rate': ['lr'],
        'Dice (star: best)': ['coarse', 'refined'],
        'Dice, refined minus coarse': ['delta'],
    }
    refined = made[2].curves[1]
    assert list(refined.steps) == [10, 20, 30] and list(refined.values) == [0.5, 0.7, 0.6] and refined.best == 20


def test_several_runs_share_a_panel_for_each_value(tool, tmp_path):
    runs = make_run(tmp_path / 'a'), make_run(tmp_path / 'b', losses=('loss_c',))
    names, _ = panels(tool, None, *runs)
    assert list(names) == ['loss', 'lr', 'coarse/Dice', 'refined/Dice', 'delta/Dice']
    assert all(runs == ['a', 'b'] for runs in names.values())
    names, _ = panels(tool, ['loss_c', 'refined/*'], *runs)
    assert names == {'loss_c': ['b'], 'refined/Dice': ['a', 'b'], 'refined/IoU': ['a', 'b']}
    _, made = panels(tool, ['time'], *runs)
    assert list(made[0].curves[0].values) == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])  # not the validations'
    with pytest.raises(ValueError, match=r'--keys refined/Dic: not logged, did you mean refined/Dice\?'):
        panels(tool, ['refined/Dic'], *runs)


def test_command_line(tool, tmp_path, capsys):
    runs = make_run(tmp_path / 'fold_0', memory=512.0), make_run(tmp_path / 'fold_1', (0.9, 0.1, 0.1), finished=False)
    arguments = [*map(str, runs), '--out', str(tmp_path / 'c' / 'curves.png'), '--json', str(tmp_path / 'runs.json')]
    tool.main(arguments)
    out = capsys.readouterr().out
    assert 'fold_1 (not finished)' in out and 'curves written to' in out
    first, second = json.loads((tmp_path / 'runs.json').read_text()).values()
    assert (first['best_epoch'], first['refined/Dice'], first['epochs'], first['iterations']) == (2, 0.7, 3, 30)
    assert (first['seconds_per_iteration'], first['memory_mib']) == (pytest.approx(0.2), 512)
    assert (second['best_epoch'], second['memory_mib']) == (1, 3)  # without a GPU that of the process
    picture = np.asarray(Image.open(tmp_path / 'c' / 'curves.png').convert('RGB'))
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # a line of each run
        assert (picture == colour).all(-1).sum() > 200
    with pytest.raises(SystemExit, match='2'):
        tool.main(arguments)
    assert 'curves.png exists already; --overwrite replaces it' in capsys.readouterr().err
    tool.main([*arguments, '--overwrite'])
