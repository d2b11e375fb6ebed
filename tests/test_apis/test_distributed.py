"""Two gloo processes with a batch each give the gradients of one process with both batches, in every phase."""

import copy
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn.parallel import DistributedDataParallel

from ultrarefiner.apis.launch import start_process_group
from ultrarefiner.registry import MODELS

SIZE = 40
PROMPTS = dict(
    type='ComposePrompts',
    generators=[dict(type='SoftArgmaxPoint'), dict(type='MomentBox'), dict(type='MaskPrompt')],
)
COARSE = [
    dict(type='StageCrossEntropy', stage='coarse', loss_weight=0.3),
    dict(type='StageDice', stage='coarse', loss_weight=0.3),
]
REFINED = [
    dict(type='StageBCE', stage='refined', loss_weight=0.7),
    dict(type='StageDice', stage='refined', loss_weight=0.7),
]
LORA = dict(type='LoRAAdapter', target_modules=r'blocks\.\d+\.attn\.qkv', r=2, lora_alpha=2.0)


def phase_config(parts: dict, phase: str) -> dict:
    cfg = copy.deepcopy(parts)
    if phase == 'phase1':
        cfg.update(refiner=None, refine_size=None, losses=COARSE)
        return cfg
    cfg['prompt_generator'] = PROMPTS
    if phase == 'phase3':
        cfg['losses'] = COARSE + REFINED
        return cfg
    cfg.update(coarse=dict(type='PrecomputedCoarse'), losses=[*REFINED, dict(type='PredictedIoUMSE', stage='refined')])
    cfg['refiner']['encoder'] = LORA if phase == 'phase2-lora' else 'frozen'
    return cfg


def image_and_sample(index: int, empty: bool = False):
    generator = torch.Generator().manual_seed(index)
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(1, SIZE, SIZE, dtype=torch.long)
    mask[:, 8 + 3 * index : 24 + 3 * index, 10:26] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=mask))
    coarse = 0.1 + 0.8 * mask.float() if not empty else torch.zeros(1, SIZE, SIZE)
    sample.set_data(dict(coarse_probability=PixelData(data=coarse)))
    return image, sample


def build(parts: dict, phase: str):
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)
    model = MODELS.build(phase_config(parts, phase)).train()
    for module in model.modules():
        # Batch statistics of two images differ from those of one; the comparison is of everything else.
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    return model


def gradients(model, indices, empty=()):
    images, samples = zip(*(image_and_sample(index, index in empty) for index in indices))
    losses = model(list(images), list(samples), mode='loss')
    sum(losses.values()).backward()
    module = getattr(model, 'module', model)
    return {name: weight.grad for name, weight in module.named_parameters() if weight.requires_grad}


def worker(rank: int, port: int, parts: dict, phase: str, empty: tuple, folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    start_process_group('pytorch')
    # A parameter that takes no part on some rank would make the reducer stop here with an error.
    model = DistributedDataParallel(build(parts, phase))
    result = gradients(model, [rank], empty)
    if rank == 0:
        torch.save(result, Path(folder) / 'gradients.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    'phase, empty',
    [('phase1', ()), ('phase2', ()), ('phase2', (1,)), ('phase2-lora', ()), ('phase3', ())],
    ids=['phase1', 'phase2', 'phase2-one-empty-mask', 'phase2-lora', 'phase3'],
)
def test_two_processes_equal_one(small_parts, tmp_path, phase, empty):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(worker, (port, small_parts, phase, empty, str(tmp_path)), nprocs=2, start_method='fork')
    together = gradients(build(small_parts, phase), [0, 1], empty)
    distributed = torch.load(tmp_path / 'gradients.pth', weights_only=True)
    assert distributed.keys() == together.keys()
    assert all(value is not None for value in together.values()), 'a trainable parameter has no gradient'
    for name, value in together.items():
        torch.testing.assert_close(
            distributed[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, n=name: f'{n}: {text}'
        )


def test_a_launcher_without_its_environment_says_so(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(RuntimeError, match='start the tool with torchrun'):
        start_process_group('pytorch')
