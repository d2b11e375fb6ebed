"""The guarded phase 3 of the CPU family: its config, through the tools' own steps, with tiny networks on tiny data."""

import copy
import math
from pathlib import Path

import pytest
import torch
from joint_runner import moved, read_log, state_of, watch
from mmengine.config import Config

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import build_runner, prepare_training
from ultrarefiner.apis.model import build_model
from ultrarefiner.engine.averaged_copies import averaged_copies

LEAF = 'ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-guarded-1xb4-2e_busi-192x192.py'
CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'ultrarefiner' / LEAF


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


@pytest.fixture
def start(tiny_root, tmp_path, small_parts):
    """Call it with a name and a number of epochs: a Runner that is ready to train, as tools/train.py makes it."""

    def make(name, epochs=2, resume=False):
        out_dir = tmp_path / name
        options = dict(dataset='tiny', data_dir=str(tiny_root.parent), out_dir=str(out_dir))
        cfg = load_config(CONFIG, {**options, 'train_cfg.max_epochs': epochs})
        cfg.model.update(copy.deepcopy(small_parts))
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(num_workers=0, persistent_workers=False, batch_size=2)
            # Without a random part, which an interruption would draw anew; collecting garbage takes long.
            loader.dataset.update(pipeline=cfg.test_pipeline, serialize_data=False)
        cfg.update(visualizer=None, resume=resume, experiment_name=f'{name}_{epochs}_{resume}')
        for stage, path in cfg.init_from.items():
            save_stage(cfg, stage, Path(path))
        runner = build_runner(Config(cfg.to_dict(), format_python_code=False))
        prepare_training(runner)
        return runner

    return make


def save_stage(cfg, stage, path):
    """Save what an earlier phase would have made."""
    torch.manual_seed(3)
    model = build_model(cfg)
    with torch.no_grad():
        model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))  # else there is nothing to refine
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=getattr(model, stage).state_dict(), meta={}), path)


def test_it_trains_with_every_control_on_and_resumes_exactly(start, tmp_path):
    whole = start('whole')
    states = watch(whole, 'after_train_epoch', lambda r: state_of(r.model))
    losses = watch(whole, 'after_train_iter', lambda r: r.message_hub.log_scalars)
    rates = watch(whole, 'before_train_iter', lambda r: r.optim_wrapper.get_lr()['lr'][0])
    before = state_of(whole.model)
    whole.train()

    logged = {name.removeprefix('train/') for name in losses[-1] if name.startswith('train/loss')}
    assert {'loss_L2Anchor', 'loss_refined_ChangePenalty', 'loss_coarse_StageDice', 'loss_refined_StageBCE'} <= logged
    assert all(math.isfinite(value) for name in logged for value in losses[-1][f'train/{name}'].data[0])
    coarse = {name for name in before if name.startswith('coarse.')}
    statistics = {name for name in coarse if name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    assert not moved(before, states[0]) & coarse
    assert moved(states[0], states[1]) & coarse == coarse - statistics
    assert rates[:2] == pytest.approx([0.1 * 2e-4, 2e-4])  # the first epoch warms up
    assert 'RestoreCoarseHook: coarse/Dice before training is' in read_log(tmp_path / 'whole')

    start('cut', epochs=1).train()
    resumed = start('cut', resume=True)
    resumed.train()
    assert not moved(whole.model.state_dict(), resumed.model.state_dict())
    for first, second in zip(averaged_copies(whole), averaged_copies(resumed), strict=True):
        assert not moved(first.state_dict(), second.state_dict())
