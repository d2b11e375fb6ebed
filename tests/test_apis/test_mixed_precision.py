"""--amp: which precision, what it changes in a config, and what it leaves alone."""

import argparse

import pytest
import torch
from mmengine.config import Config

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.mixed_precision import add_amp_argument, amp_precision, autocast_testing, training_options


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))\n")
    return path


def amp(*arguments):
    parser = argparse.ArgumentParser()
    add_amp_argument(parser, 'train')
    return parser.parse_args(arguments).amp


def test_the_precision_that_suits_the_device(monkeypatch):
    assert amp_precision(amp()) is None
    assert amp_precision(amp('--amp')) == 'bfloat16'
    with pytest.raises(ValueError, match='float16 needs a GPU'):
        amp_precision(amp('--amp', 'float16'))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: False)
    monkeypatch.setattr('ultrarefiner.utils.precision.get_device', lambda: 'cuda')
    assert amp_precision(amp('--amp')) == 'float16'


def test_a_training_under_amp_is_another_training(config):
    plain, half = (load_config(config, training_options(amp(*given), config)) for given in ((), ('--amp',)))
    assert plain.optim_wrapper.type == 'OptimWrapper'
    assert (half.optim_wrapper.type, half.optim_wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    assert half.optim_wrapper.optimizer == plain.optim_wrapper.optimizer
    assert half.fingerprint != plain.fingerprint


def test_a_wrapper_of_its_own_is_not_replaced(config):
    config.write_text("optim_wrapper = dict(type='Mine')\n")
    with pytest.raises(ValueError, match=r"--amp works with optim_wrapper.type='OptimWrapper', .*config.py has 'Mine'"):
        training_options(amp('--amp'), config)


def test_testing_leaves_the_training_alone():
    cfg = Config(dict(test_cfg=dict(), val_cfg=dict(), optim_wrapper=dict(type='OptimWrapper')))
    autocast_testing(cfg, 'bfloat16')
    assert cfg.test_cfg == dict(fp16=True) and cfg.val_cfg == dict()
    assert cfg.optim_wrapper == dict(type='OptimWrapper')
