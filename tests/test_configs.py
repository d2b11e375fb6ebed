"""Every config of the tree builds, and the full-size ones are the method's."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.registry import HOOKS, METRICS, TRANSFORMS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
OTHERS = ('_base_', 'ablation', 'pipelines')
LEAVES = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name not in OTHERS)
PIPELINES = sorted((CONFIGS / 'pipelines').glob('*.py'))


def test_no_config_is_forgotten():
    others = {path for folder in OTHERS for path in (CONFIGS / folder).rglob('*.py')}
    assert set(CONFIGS.rglob('*.py')) == others | set(LEAVES)
    assert LEAVES and PIPELINES


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_config_builds(path):
    cfg = load_config(path)
    assert '.' not in path.stem, 'mmengine cuts config names at the first dot'
    # mmseg's SegFormer computes with numbers when it is built, which the meta device has not.
    with torch.device('cpu' if 'small' in path.stem else 'meta'):
        model = build_model(cfg)
    assert any(parameter.requires_grad for parameter in model.parameters())
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        for part in dataset.datasets if dataset.type == 'ConcatDataset' else [dataset]:
            for transform in part.pipeline:
                TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        METRICS.build(evaluator)
    for hook in (*cfg.default_hooks.values(), *cfg.get('custom_hooks', [])):
        HOOKS.build(hook)


@pytest.mark.parametrize('path', PIPELINES, ids=lambda path: path.stem)
def test_pipeline_names_configs_that_exist(path):
    phases = Config.fromfile(path).phases
    assert list(phases) == ['coarse', 'refine', 'joint']
    for config in phases.values():
        assert (path.parent / config).resolve() in LEAVES


def leaf(pattern: str) -> Config:
    found = [path for path in LEAVES if pattern in path.stem]
    assert len(found) == 1
    return load_config(found[0])


@pytest.mark.parametrize('dataset', ['busi', 'busbra', 'bus', 'bus_uc', 'bus_uclm'])
def test_phase_1_is_the_method(dataset):
    cfg = leaf(f'r50-vit-b16_1xb24-150e_{dataset.replace("_", "-")}-224x224')
    assert cfg.work_dir == f'./checkpoints/transunet/{dataset}/fold_0'
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
    assert cfg.param_scheduler[0].type == 'PolyLR' and cfg.param_scheduler[0].power == 0.9
    assert cfg.train_cfg.max_epochs == 150 and cfg.train_dataloader.batch_size == 24
    assert [(loss.type, loss.loss_weight) for loss in cfg.model.losses] == [
        ('StageCrossEntropy', 0.5),
        ('StageDice', 0.5),
    ]


@pytest.mark.parametrize('adapter', ['medsam-b', 'medsam-b-lora-r4'])
def test_phase_2_is_the_method(adapter):
    cfg = leaf(f'ultrarefiner_{adapter}_method-prompts_phase2-1xb')
    assert cfg.work_dir == './checkpoints/sam_finetuned/fold_0'
    assert (cfg.optim_wrapper.optimizer.type, cfg.optim_wrapper.optimizer.lr) == ('AdamW', 1e-4)
    assert cfg.param_scheduler[0].type == 'CosineAnnealingLR' and cfg.train_cfg.max_epochs == 100
    assert {loss.type for loss in cfg.model.losses} == {'StageBCE', 'StageDice', 'PredictedIoUMSE'}
    assert len(cfg.train_dataloader.dataset.datasets) == 5


@pytest.mark.parametrize('adapter', ['medsam-b', 'medsam-b-lora-r4'])
def test_phase_3_is_the_method(adapter):
    cfg = leaf(f'ultrarefiner_transunet_{adapter}_method-prompts_phase3-1xb')
    assert cfg.work_dir == './checkpoints/ultrarefiner/busi/fold_0'
    assert (cfg.optim_wrapper.optimizer.type, cfg.optim_wrapper.optimizer.lr) == ('AdamW', 1e-5)
    assert cfg.train_cfg.max_epochs == 100
    assert {(loss.stage, loss.loss_weight) for loss in cfg.model.losses} == {('coarse', 0.3), ('refined', 0.7)}
    assert cfg.model.init_from.refiner == './checkpoints/sam_finetuned/fold_0/best.pth'


@pytest.mark.parametrize('folder', ['transunet', 'unet', 'deeplabv3plus', 'segformer'])
def test_every_coarse_network_has_checkpoints_of_its_own(folder):
    cfgs = [load_config(path) for path in LEAVES if path.parent.name == folder]
    assert {cfg.work_dir for cfg in cfgs} == {f'./checkpoints/{folder}/{cfg.dataset}/fold_0' for cfg in cfgs}


def test_phase_3_begins_where_phase_1_of_its_coarse_network_ended():
    for path in PIPELINES:
        coarse, joint = (load_config(path.parent / Config.fromfile(path).phases[key]) for key in ('coarse', 'joint'))
        assert joint.model.init_from.coarse == f'{coarse.work_dir}/best.pth'
        assert joint.model.coarse == coarse.model.coarse and joint.model.coarse_input == coarse.model.coarse_input


@pytest.mark.parametrize('name', [path.stem for path in LEAVES if '-cached-' in path.stem])
def test_a_cached_config_is_the_plain_one_with_fixed_views(name):
    cached, plain = leaf(name), leaf(name.replace('-cached-', '-'))
    cache, hooks = cached.model.pop('embedding_cache'), cached.custom_hooks
    assert cache.folder == 'data/embeddings' and hooks == [dict(type='DatasetEpochHook')]
    plain.model.refiner.encoder = 'frozen'
    assert cached.model == plain.model and cached.val_dataloader == plain.val_dataloader
    for loader, other in zip(datasets(cached), datasets(plain)):
        (views,) = (transform for transform in loader.pipeline if transform.type == 'FixedViews')
        place = loader.pipeline.index(views)
        assert [*loader.pipeline[:place], *views.transforms, *loader.pipeline[place + 1 :]] == other.pipeline


def datasets(cfg: Config) -> list:
    """The training datasets of a config."""
    dataset = cfg.train_dataloader.dataset
    return dataset.datasets if dataset.type == 'ConcatDataset' else [dataset]
