"""env_cfg's cpu_allocator and float32_matmul."""

import pytest
import torch
from mmengine.config import Config

from ultrarefiner.apis import compute
from ultrarefiner.apis.compute import prepare_compute
from ultrarefiner.apis.launch import compute_settings


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(compute, 'keep_freed_memory', lambda: made.append('keep') or 'kept')
    monkeypatch.setattr(compute, 'choose_float32_matmul', lambda device: made.append(device.type) or 'chosen')
    monkeypatch.setattr(torch, 'set_float32_matmul_precision', made.append)
    return made


@pytest.mark.parametrize(
    'env_cfg, made, said',
    [
        (dict(), [], []),
        (dict(cpu_allocator='default', float32_matmul='highest'), ['highest'], []),
        (dict(cpu_allocator='keep', float32_matmul='fastest'), ['keep', 'cpu'], ['kept', 'chosen']),
    ],
)
def test_what_is_asked_for_is_done(monkeypatch, calls, env_cfg, made, said):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert prepare_compute(env_cfg) == said
    assert calls == made


def test_beside_a_gpu_the_allocator_stays(monkeypatch, calls):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert prepare_compute(dict(cpu_allocator='keep', float32_matmul='fastest')) == ['chosen']
    assert calls == ['cuda']


@pytest.mark.parametrize('key', ['cpu_allocator', 'float32_matmul'])
def test_a_wrong_value_is_named(calls, key):
    with pytest.raises(ValueError, match=f"env_cfg.{key} is 'fast'"):
        prepare_compute({key: 'fast'})
    assert calls == []


def test_a_training_that_goes_on_computes_as_it_began(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), resume=True, env_cfg=dict(float32_matmul='fastest')))
    assert compute_settings(cfg) == dict(float32_matmul='fastest')
    (tmp_path / 'training.json').write_text('{"float32_matmul": "medium"}')
    assert compute_settings(cfg) == dict(float32_matmul='medium')
    cfg.env_cfg.float32_matmul = 'highest'
    assert compute_settings(cfg) == dict(float32_matmul='highest')
    cfg.update(resume=False, env_cfg=dict(float32_matmul='fastest'))
    assert compute_settings(cfg) == dict(float32_matmul='fastest')
