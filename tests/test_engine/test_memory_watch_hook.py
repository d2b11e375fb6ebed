"""MemoryWatchHook: looks as often as it is told to, and acts once, where memory is kept."""

import logging
from types import SimpleNamespace

import pytest

from ultrarefiner.engine.hooks import MemoryWatchHook, memory_watch_hook
from ultrarefiner.utils import available_memory as module
from ultrarefiner.utils.available_memory import available_memory


@pytest.fixture
def given_back(monkeypatch):
    calls = []
    monkeypatch.setattr(memory_watch_hook, 'give_back_memory', lambda: calls.append('given back'))
    return calls


def watch(monkeypatch, available, allocator='keep', iterations=6):
    looks = iter(available)
    monkeypatch.setattr(memory_watch_hook, 'available_memory', lambda: next(looks))
    runner = SimpleNamespace(cfg=dict(env_cfg=dict(cpu_allocator=allocator)), logger=logging.getLogger('watch'))
    hook = MemoryWatchHook(min_available=0.2, interval=2)
    hook.before_run(runner)
    for index in range(iterations):
        hook.after_train_iter(runner, index)
    return len(list(looks))


def test_memory_goes_back_once_when_little_is_left(monkeypatch, given_back, caplog):
    left = watch(monkeypatch, [0.5, 0.1, 0.05])
    assert given_back == ['given back']
    assert left == 1
    assert '10% of the memory is left' in caplog.text


def test_nothing_happens_while_enough_is_left(monkeypatch, given_back):
    assert watch(monkeypatch, [0.5, 0.3, 0.2]) == 0
    assert given_back == []


def test_nothing_is_watched_where_no_memory_is_kept(monkeypatch, given_back):
    assert watch(monkeypatch, [0.0], allocator='default') == 1
    assert given_back == []


@pytest.mark.parametrize('options', [dict(min_available=1), dict(interval=0)])
def test_arguments_are_checked(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        MemoryWatchHook(**options)


def test_the_container_s_limit_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(module, 'CGROUP', tmp_path)
    monkeypatch.setattr(module.psutil, 'virtual_memory', lambda: SimpleNamespace(available=80, total=100))
    assert available_memory() == pytest.approx(0.8)
    (tmp_path / 'memory.current').write_text('700\n')
    (tmp_path / 'memory.max').write_text('max\n')
    assert available_memory() == pytest.approx(0.8)
    (tmp_path / 'memory.max').write_text('1000\n')
    assert available_memory() == pytest.approx(0.3)
