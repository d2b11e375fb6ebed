"""A part of a config, from a file or from a checkpoint that carries it."""

import sys
from pathlib import Path

import pytest
import torch
from run_tool import load_tool

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / 'configs' / 'transunet' / 'transunet_small_1xb8-4e_busi-96x96.py')


@pytest.fixture
def run(monkeypatch, capsys):
    tool = load_tool('misc/print_config.py')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['print_config.py', *arguments])
        tool.main()
        return capsys.readouterr().out

    return run


def test_a_part_is_printed_with_options_applied(run):
    assert run(CONFIG, '--key', 'randomness', '--seed', '7') == 'randomness = dict(seed=7)\n'
    assert run(CONFIG, '--key', 'model.losses.0').startswith('item_0 = dict(')
    assert 'fold = 3' in run(CONFIG, '--fold', '3').splitlines()


def test_a_checkpoint_carries_its_config(run, tmp_path):
    torch.save(dict(meta=dict(cfg=run(CONFIG)), state_dict={}), tmp_path / 'best.pth')
    assert run(str(tmp_path / 'best.pth'), '--key', 'model.losses') == run(CONFIG, '--key', 'model.losses')


@pytest.mark.parametrize('key, near', [('model.los', 'losses'), ('modl', 'model'), ('model.losses.0.stag', 'stage')])
def test_a_wrong_key_names_the_nearest(run, capsys, key, near):
    with pytest.raises(SystemExit, match='2'):
        run(CONFIG, '--key', key)
    assert near in capsys.readouterr().err
