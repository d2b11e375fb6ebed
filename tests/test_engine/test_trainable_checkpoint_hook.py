"""TrainableCheckpointHook: checkpoints of what trains alone, whole again in training and in testing."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.utils.freeze import freeze
from ultrarefiner.utils.partial_checkpoint import frozen_names

PIPELINE = [dict(type=name) for name in ('LoadImage', 'LoadMask', 'PackRefinerInputs')]


@pytest.fixture(autouse=True)
def clean(clean_runner):
    yield


@pytest.fixture
def base_file(small_parts, tmp_path):
    torch.manual_seed(5)
    path = tmp_path / 'base.pth'
    torch.save(SAMRefiner(arch=small_parts['refiner']['arch']).state_dict(), path)
    return path


def runner(small_parts, tiny_root, work_dir, base_file, epochs=1, seed=0, **options):
    loader = dict(
        dataset=dict(type='ConvertedDataset', data_root=str(tiny_root), subset='val', fold=0, pipeline=PIPELINE),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=4,
    )
    model = copy.deepcopy(small_parts)
    model.update(
        prompt_generator=dict(type='MaskPrompt'),
        losses=[dict(type='StageBCE', stage='refined')],
        freeze_coarse=True,
    )
    model['refiner'].update(encoder=dict(type='LoRAAdapter', r=2), checkpoint=str(base_file))
    cfg = dict(
        default_scope='ultrarefiner',
        work_dir=str(work_dir),
        model=model,
        train_dataloader=loader,
        test_dataloader=loader,
        test_evaluator=dict(type='RefinementMetric'),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='TrainableCheckpointHook')],
        randomness=dict(seed=seed),
        experiment_name=f'{Path(work_dir).name}_{epochs}_{seed}_{len(options)}',
        log_level='ERROR',
    )
    return Runner.from_cfg(Config({**cfg, **options}))


def test_only_what_trains_is_saved_and_testing_and_resuming_make_it_whole(small_parts, tiny_root, tmp_path, base_file):
    first = runner(small_parts, tiny_root, tmp_path / 'run', base_file)
    first.train()
    expected = first.model.state_dict()
    path = tmp_path / 'run' / 'epoch_1.pth'
    saved = torch.load(path, weights_only=False)

    trainable = {name for name, p in first.model.named_parameters() if p.requires_grad}
    parameters = {name for name, _ in first.model.named_parameters()}
    assert saved['state_dict'].keys() & parameters == trainable
    assert any('lora_A' in name for name in trainable) and any('mask_decoder' in name for name in trainable)
    partial = saved['meta']['ultrarefiner_partial']
    assert partial['count'] == len(partial['frozen']) == len(expected) - len(saved['state_dict'])

    testing = runner(small_parts, tiny_root, tmp_path / 'test', base_file, load_from=str(path))
    testing.test()
    resumed = runner(small_parts, tiny_root, tmp_path / 'run', base_file, load_from=str(path), resume=True)
    resumed.train()
    for model in (testing.model, resumed.model):
        state = model.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_another_base_is_refused(small_parts, tiny_root, tmp_path, base_file):
    runner(small_parts, tiny_root, tmp_path / 'run', base_file).train()
    state = torch.load(base_file)
    state['image_encoder.neck.0.weight'] += 1e-6
    torch.save(state, base_file)
    path = str(tmp_path / 'run' / 'epoch_1.pth')
    other_file = runner(small_parts, tiny_root, tmp_path / 'test', base_file, load_from=path)
    with pytest.raises(ValueError, match=r'1 of the \d+ frozen.*refiner.image_encoder.neck.0.weight.*weight files'):
        other_file.test()


def test_another_seed_is_refused_where_frozen_weights_are_random(small_parts, tiny_root, tmp_path, base_file):
    runner(small_parts, tiny_root, tmp_path / 'run', base_file).train()
    path = str(tmp_path / 'run' / 'epoch_1.pth')
    other_seed = runner(small_parts, tiny_root, tmp_path / 'test', base_file, seed=1, load_from=path)
    with pytest.raises(ValueError, match='coarse.*random seed'):
        other_seed.test()


def test_statistics_of_a_normalisation_are_base_only_when_it_is_frozen():
    model = nn.ModuleDict(dict(moving=nn.BatchNorm2d(2), still=nn.BatchNorm2d(2)))
    model['moving'].requires_grad_(False)
    freeze(model['still'])
    names = frozen_names(model)
    assert {name for name in names if name.startswith('moving')} == {'moving.weight', 'moving.bias'}
    assert {name for name in names if name.startswith('still')} == {
        f'still.{name}' for name in nn.BatchNorm2d(2).state_dict()
    }
