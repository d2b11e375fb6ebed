"""Two gloo processes: a part that is frozen for a while neither stalls the reducer nor falls apart afterwards."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing as mp
from joint_runner import joint_model, save_coarse
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.apis import launch
from ultrarefiner.engine.hooks import FrozenNormHook, StagedUnfreezeHook
from ultrarefiner.registry import MODELS

SIZE = 40
LOSSES = [
    dict(type='StageDice', stage='coarse'),
    dict(type='StageDice', stage='refined'),
    dict(type='MinOverCandidatesLoss', stage='refined'),
    dict(type='ChangePenalty', floor=0.0),
    dict(type='StageBoundary', stage='refined'),
]


def image_and_sample(index: int):
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    mask[:, 8 + 3 * index : 24 + 3 * index, 10:26] = 1
    return image, SegDataSample(gt_sem_seg=PixelData(data=mask))


def build(cfg: dict):
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    with torch.no_grad():
        next(model.coarse.parameters()).add_(0.01)  # so that the anchor pulls
    return model


def runner_of(model):
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    return SimpleNamespace(model=model, train_loop=loop, logger=MMLogger.get_instance('controls'), epoch=0)


def two_epochs(model, indices) -> list[dict]:
    """The gradients of a step in each of two epochs, the coarse network frozen in the first."""
    runner = runner_of(model)
    hooks = [StagedUnfreezeHook(['coarse'], epochs=1), FrozenNormHook(['coarse'])]
    for hook in hooks:
        hook.before_train(runner)
    module, gradients = getattr(model, 'module', model), []
    for runner.epoch in range(2):
        hooks[0].before_train_epoch(runner)
        model.train()
        images, samples = zip(*map(image_and_sample, indices))
        sum(model(list(images), list(samples), mode='loss').values()).backward()
        gradients.append({name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None})
        model.zero_grad()
        hooks[0].after_train_epoch(runner)
    return gradients


def worker(rank: int, port: int, cfg: dict, folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    launch.start_process_group('pytorch')
    for hook in (StagedUnfreezeHook(['coarse'], 1), FrozenNormHook(['coarse'], affine=True)):
        with pytest.raises(ValueError, match='set find_unused_parameters=True in the config'):
            hook.before_train(runner_of(MMDistributedDataParallel(build(cfg))))
    result = two_epochs(MMDistributedDataParallel(build(cfg), find_unused_parameters=True), [rank])
    if rank == 0:
        torch.save(result, Path(folder) / 'gradients.pth')
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one_while_a_part_is_frozen_and_afterwards(small_parts, tmp_path):
    init_from = dict(coarse=save_coarse(small_parts, tmp_path / 'coarse.pth'))
    cfg = joint_model(small_parts, losses=LOSSES, regularizers=[dict(type='L2Anchor')], init_from=init_from)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(worker, (port, cfg, str(tmp_path)), nprocs=2, start_method='fork')
    distributed = torch.load(tmp_path / 'gradients.pth', weights_only=True)
    together = two_epochs(build(cfg), [0, 1])
    model = build(cfg)
    for epoch, stages in enumerate([('refiner',), ('coarse', 'refiner')]):
        expected = {name for name, w in model.named_parameters() if w.requires_grad and name.split('.')[0] in stages}
        assert set(distributed[epoch]) == set(together[epoch]) == expected
        for name, value in together[epoch].items():
            torch.testing.assert_close(
                distributed[epoch][name], value, rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f'{n}: {text}'
            )


def test_the_setting_of_the_config_reaches_the_wrapper_on_cpus_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(launch, 'start_process_group', lambda launcher: None)
    monkeypatch.setattr(launch.Runner, 'from_cfg', lambda cfg: cfg.model_wrapper_cfg)
    for setting in (True, False):
        cfg = Config(dict(find_unused_parameters=setting))
        assert launch.build_runner(cfg, 'pytorch')['find_unused_parameters'] is setting
