"""A small trained model of phase 3 for the tests of export: two-block networks, an adapter, every kind of prompt."""

import copy

import torch
from mmengine.config import Config

from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.model import build_model

META = dict(classes=('background', 'lesion'), palette=[[0, 0, 0], [255, 166, 43]])
MADE = dict(
    version='0.1.0',
    dataset='BUSI',
    splits=dict(BUSI='abc123'),
    split_sha256='abc123',
    fold=3,
    phase='joint',
    epoch=7,
    metrics={'coarse/Dice': 0.5, 'refined/Dice': 0.75, 'delta/Dice': 0.25},
)
PROMPTS = dict(
    type='ComposePrompts',
    generators=[dict(type='SoftQuantileBox'), dict(type='SoftArgmaxPoint'), dict(type='MaskPrompt')],
)


def trained_cfg(small_parts, **changes):
    """The config of a training."""
    model = dict(copy.deepcopy(small_parts), prompt_generator=PROMPTS, losses=[dict(type='StageDice', stage='refined')])
    model['refiner'] = dict(model['refiner'], encoder=dict(type='LoRAAdapter', r=2))
    model.update(changes)
    return Config(dict(default_scope='ultrarefiner', work_dir='/a/machine', model=model))


def save_trained(path, cfg, seed=0):
    """A checkpoint in which every weight counts, LoRA's too, and whose masks are neither empty nor full."""
    torch.manual_seed(seed)
    model = build_model(cfg)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_((0.1 if name.startswith('refiner') else 0.02) * torch.randn(weight.shape))
    meta = dict(cfg=cfg.pretty_text, dataset_meta=META, ultrarefiner=dict(MADE, input_profiles=model.input_profiles()))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


def open_trained(path, **options):
    return init_model(path, device='cpu', **options)
