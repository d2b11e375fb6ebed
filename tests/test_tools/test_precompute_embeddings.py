"""precompute_embeddings.py: training then misses nothing; it goes on, shares the work, and says early what is wrong."""

import os
import shutil
import socket
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from run_tool import run_tool

from ultrarefiner.apis import precompute
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.precompute import Precompute
from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.utils.embedding_cache import EmbeddingCache

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
LEAF = 'ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-cached-1xb4-3e_busi-192x192.py'
CONFIG = """
_base_ = {base!r}
dataset = 'tiny'
model = dict(
    coarse_input=dict(size=(32, 32)),
    refiner=dict(_delete_=True, **{refiner!r}),
    refine_size=(32, 32),
    embedding_cache=dict(folder='{{out_dir}}/embeddings'),
)
loader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(coarse_dir='{{out_dir}}/coarse', require_proof=False),
)
train_cfg = dict(max_epochs=2)
# Rotated always, so that no two views of an image are the same.
rotate = dict(type='RandomRotate', prob=1.0, degree=20, pad_val=0, seg_pad_val=0)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadMask'),
    dict(type='LoadCoarsePrediction'),
    dict(type='FixedViews', views=2, transforms=[rotate]),
    dict(type='PackRefinerInputs'),
]
train_dataloader = dict(
    loader, num_workers=1, persistent_workers=True, dataset=dict(loader['dataset'], pipeline=train_pipeline)
)
val_dataloader = loader
test_dataloader = loader
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""
# Fold 0 of the tiny dataset: four images to train on, in two views, and four to validate on.
VIEWS, VALIDATED = 8, 4


@pytest.fixture(autouse=True)
def clean(clean_runner):
    """Every tool starts as in a process of its own."""


@pytest.fixture
def config(tiny_root, small_parts, tmp_path):
    """The small cached leaf with the two-block SAM, on the tiny dataset with stored masks."""
    folder = tmp_path / 'coarse'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        np.save(folder / f't{index}.npy', rng.uniform(0.1, 0.9, (40, 48)).astype(np.float32))
    path = tmp_path / 'config.py'
    refiner = {**small_parts['refiner'], 'encoder': 'frozen'}
    path.write_text(CONFIG.format(base=str(TOOLS.parent / 'configs' / LEAF), refiner=refiner))
    return path


def arguments(config, tiny_root):
    return [str(config), '--data-dir', str(tiny_root.parent), '--out-dir', str(config.parent)]


def options(config, tiny_root, **more):
    return dict(data_dir=str(tiny_root.parent), out_dir=str(config.parent), **more)


def files(config):
    return sorted((config.parent / 'embeddings').glob('*/*'))


def counted(patch):
    """Hits and misses of every cache from here on."""
    counter, original = Counter(), EmbeddingCache.get_or_encode

    def get_or_encode(self, refiner, images):
        before = self.misses
        result = original(self, refiner, images)
        counter['misses'] += self.misses - before
        counter['hits'] += len(images) - (self.misses - before)
        return result

    patch.setattr(EmbeddingCache, 'get_or_encode', get_or_encode)
    return counter


@pytest.mark.parametrize('amp', [(), pytest.param(('--amp',), marks=pytest.mark.slow)], ids=['float32', 'amp'])
def test_training_and_testing_miss_nothing(config, tiny_root, monkeypatch, capsys, amp):
    command = (*arguments(config, tiny_root), *amp)
    run_tool('precompute_embeddings.py', *command)
    size = files(config)[0].stat().st_size / 2**20
    # Under --amp the validation in training computes in float32, and the test in bfloat16.
    made = VIEWS + VALIDATED * (1 + len(amp))
    assert f'{made} embeddings made, 0 found, {made * size:.1f} MiB' in capsys.readouterr().out
    assert len(files(config)) == made
    monkeypatch.setattr(SAMRefiner, 'encode_image', lambda *_: pytest.fail('the encoder ran'))
    counter = counted(monkeypatch)
    run_tool('train.py', *command)
    assert counter == dict(misses=0, hits=2 * (4 + VALIDATED))
    checkpoint = next(config.parent.rglob('best.pth'))
    run_tool('test.py', str(config), str(checkpoint), *command[1:])
    assert counter == dict(misses=0, hits=2 * (4 + VALIDATED) + VALIDATED)


def test_an_interruption_loses_nothing(config, tiny_root, monkeypatch, capsys):
    calls, encode = [], SAMRefiner.encode_image

    def interrupted(self, images):
        calls.append(len(images))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return encode(self, images)

    monkeypatch.setattr(SAMRefiner, 'encode_image', interrupted)
    with pytest.raises(SystemExit) as exit_code:
        run_tool('precompute_embeddings.py', *arguments(config, tiny_root))
    assert exit_code.value.code == 130
    assert capsys.readouterr().err == 'interrupted; the same command goes on from here\n'
    kept = len(files(config))
    assert 0 < kept < VIEWS + VALIDATED
    monkeypatch.setattr(SAMRefiner, 'encode_image', encode)
    run_tool('precompute_embeddings.py', *arguments(config, tiny_root))
    assert f'{VIEWS + VALIDATED - kept} embeddings made, {kept} found' in capsys.readouterr().out


def share(rank, port, path, given, folder):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    job = Precompute(load_config(path, given), 'pytorch')
    totals = job.run()
    (Path(folder) / f'rank{rank}').write_text(f'{totals.made} {totals.found} {job.cache.misses}')
    torch.distributed.destroy_process_group()


def test_two_processes_take_a_share_each(config, tiny_root, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    given = options(config, tiny_root)
    mp.start_processes(share, (port, config, given, str(tmp_path)), nprocs=2, start_method='fork')
    made = VIEWS + VALIDATED
    assert [(tmp_path / f'rank{rank}').read_text() for rank in range(2)] == [f'{made} 0 {made // 2}'] * 2
    assert len(files(config)) == made


def refusal(config, tiny_root, **given):
    with pytest.raises((ValueError, OSError)) as error:
        Precompute(load_config(config, options(config, tiny_root, **given)))
    assert not files(config)
    return str(error.value)


def test_what_cannot_be_kept_is_said_before_anything_is_encoded(config, tiny_root, small_parts):
    assert 'trainable' in refusal(config, tiny_root, **{'model.refiner.encoder': 'trained'})
    text = config.read_text()
    config.write_text(text.replace("embedding_cache=dict(folder='{out_dir}/embeddings')", 'embedding_cache=None'))
    assert '--embedding-cache FOLDER' in refusal(config, tiny_root)
    roi = dict(type='ROIRefiner', refiner={**small_parts['refiner'], 'encoder': 'frozen'})
    config.write_text(text + f'model["refiner"] = dict(_delete_=True, **{roi!r})\n')
    assert 'cannot be kept' in refusal(config, tiny_root)


def test_two_jobs_in_one_second_stay_apart(config, tiny_root, monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.time.localtime', lambda *_: time.gmtime(0))
    for _ in range(2):
        Precompute(load_config(config, options(config, tiny_root)), subsets=['val'])


def test_random_pixels_are_refused(config, tiny_root):
    pipeline = [dict(type='LoadImage'), dict(type='RandomFlip', prob=0.5), dict(type='PackRefinerInputs')]
    text = refusal(config, tiny_root, **{'train_dataloader.dataset.pipeline': pipeline})
    assert 'FixedViews' in text and 'train_dataloader' in text


def test_too_little_room_is_said_before_anything_is_encoded(config, tiny_root, monkeypatch):
    Precompute(load_config(config, options(config, tiny_root)), subsets=['val']).run()
    size = files(config)[0].stat().st_size
    room = (VIEWS + VALIDATED + 0.5) * size / 2**30
    # Those that are there need no room.
    exact = load_config(config, options(config, tiny_root, **{'model.embedding_cache.max_size_gib': room}))
    assert Precompute(exact).run() == (VIEWS, VALIDATED, (VIEWS + VALIDATED) * size)
    shutil.rmtree(config.parent / 'embeddings')
    text = refusal(config, tiny_root, **{'model.embedding_cache.max_size_gib': room - size / 2**30})
    assert f'{VIEWS + VALIDATED} embeddings' in text and 'max_size_gib' in text
    monkeypatch.setattr(precompute.shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(0, 0, 1000))
    assert 'of the disk are free' in refusal(config, tiny_root)


def test_a_folder_that_cannot_be_written_is_refused(config, tiny_root, capsys):
    blocked = config.parent / 'blocked'
    blocked.write_text('')
    with pytest.raises(SystemExit) as exit_code:
        run_tool('precompute_embeddings.py', *arguments(config, tiny_root), '--embedding-cache', str(blocked))
    message = capsys.readouterr().err.strip()
    assert exit_code.value.code == 2 and message.startswith('error: cannot write') and '\n' not in message


def test_a_cache_that_fills_up_meanwhile_ends_the_run(config, tiny_root, monkeypatch, capsys):
    has_room = EmbeddingCache._has_room
    monkeypatch.setattr(EmbeddingCache, '_has_room', lambda *args: has_room(*args) and len(files(config)) < 3)
    with pytest.raises(SystemExit) as exit_code:
        run_tool('precompute_embeddings.py', *arguments(config, tiny_root))
    assert exit_code.value.code == 2 and 'max_size_gib' in capsys.readouterr().err
    assert len(files(config)) == 3


def test_the_pipeline_passes_the_folder_on_where_there_is_a_refiner(tiny_root, tmp_path, capsys):
    pipeline = str(TOOLS.parent / 'configs' / 'pipelines' / 'full_cached.py')
    folders = '--data-dir', str(tiny_root.parent), '--out-dir', str(tmp_path)
    run_tool('run_phases.py', pipeline, '--dataset', 'tiny', *folders, '--embedding-cache', 'EMBEDDINGS', '--dry-run')
    commands = [line for line in capsys.readouterr().out.splitlines() if 'tools/' in line]
    told = ['model.embedding_cache.folder=EMBEDDINGS' in command for command in commands]
    assert told == ['/ultrarefiner/ultrarefiner_' in command for command in commands]
    assert {True, False} == set(told)
