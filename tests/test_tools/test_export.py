"""tools/export.py: what it says, what it refuses, what it never overwrites."""

import pytest
import torch
from export_makers import save_trained, trained_cfg
from run_tool import run_tool


def run(*arguments, code=None):
    if code is None:
        return run_tool('export.py', *arguments)
    with pytest.raises(SystemExit) as stop:
        run_tool('export.py', *arguments)
    assert stop.value.code == code


@pytest.fixture(scope='module')
def checkpoint(small_parts, tmp_path_factory):
    return save_trained(tmp_path_factory.mktemp('trained') / 'best.pth', trained_cfg(small_parts))


def test_sam_says_how_to_open_it(checkpoint, tmp_path, capsys):
    run(checkpoint, '--format', 'sam', '--out', tmp_path / 'sam.pth')
    printed = capsys.readouterr().out
    assert 'sam.pth: written' in printed and 'InputProfile(size=(64, 64)' in printed
    assert 'ArgmaxSelection: multimask_output=True' in printed
    assert 'mask_decoder.iou_token.weight' in torch.load(tmp_path / 'sam.pth', weights_only=True)


def test_package_asks_for_terms_that_are_not_known(small_parts, checkpoint, tmp_path, capsys):
    run(checkpoint, '--format', 'package', '--out', tmp_path / 'busi')
    assert 'terms of the data' not in capsys.readouterr().out
    assert '# busi' in (tmp_path / 'busi' / 'README.md').read_text()
    saved = torch.load(checkpoint, weights_only=False)
    saved['meta']['ultrarefiner']['splits'] = dict(mine='abc')
    torch.save(saved, tmp_path / 'mine.pth')
    run(tmp_path / 'mine.pth', '--format', 'package', '--out', tmp_path / 'mine')
    assert 'the terms of the data are not all known: give --data-licence TEXT' in capsys.readouterr().out
    more = ['--data-licence', 'ours', '--force']
    run(tmp_path / 'mine.pth', '--format', 'package', '--out', tmp_path / 'mine', *more)
    assert 'terms of the data' not in capsys.readouterr().out


@pytest.mark.parametrize('format', ['sam', 'onnx', 'exported-program', 'package'])
def test_nothing_is_overwritten(checkpoint, tmp_path, capfd, format):
    out = tmp_path / 'out'
    out.write_text('mine')
    run(checkpoint, '--format', format, '--out', out, code=2)
    assert 'out exists; give --force' in capfd.readouterr().err
    run(checkpoint, '--format', format, '--out', out, '--force', code=2)
    assert 'is no earlier export of this format' in capfd.readouterr().err
    assert out.read_text() == 'mine'


def test_mistakes_are_one_line(checkpoint, tmp_path, capfd):
    run(tmp_path / 'absent.pth', '--format', 'sam', '--out', tmp_path / 'x', code=2)
    assert 'absent.pth does not exist' in capfd.readouterr().err
    run(checkpoint, '--format', 'onxx', '--out', tmp_path / 'x', code=2)
    assert 'onnx' in capfd.readouterr().err
    run(checkpoint, '--format', 'onnx', '--out', tmp_path / 'x', '--data-licence', 'ours', code=2)
    assert '--data-licence is for --format package' in capfd.readouterr().err
    run(checkpoint, '--format', 'sam', '--out', tmp_path / 'x', '--half', code=2)
    assert '--half is for --format package' in capfd.readouterr().err
