"""Checkpoints of small models, as training leaves them."""

import copy

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ultrarefiner.apis.model import build_model

PALETTE = [[0, 0, 0], [255, 140, 20], [20, 140, 255]]
PRECOMPUTED = dict(type='PrecomputedCoarse')


def small_config(small_parts, phase=3, classes=1, **changes):
    """Config of a small model; of phase 1 without a refiner, of phase 2 with stored coarse results."""
    model = dict(copy.deepcopy(small_parts), prompt_generator=dict(type='SoftQuantileBox'))
    model['coarse']['decode_head']['num_classes'] = classes + 1
    if phase == 1:
        for key in ('refiner', 'prompt_generator', 'refine_size'):
            model.pop(key)
    if phase == 2:
        model['coarse'] = dict(PRECOMPUTED, num_slots=classes)
    return Config(dict(default_scope='ultrarefiner', model={**model, **changes}))


def small_checkpoint(small_parts, path, seed=0, phase=3, classes=1, names=('background', 'lesion', 'cyst'), **changes):
    """Save random weights whose coarse masks are neither empty nor full; returns the path as text."""
    init_default_scope('ultrarefiner')
    cfg = small_config(small_parts, phase, classes, **changes)
    torch.manual_seed(seed)
    model = build_model(cfg)
    if phase != 2:
        with torch.no_grad():
            head = model.coarse.decode_head.conv_seg
            head.weight.mul_(30)
            head.bias.zero_()
    meta = dict(classes=names[: classes + 1], palette=PALETTE[: classes + 1])
    own = dict(fold=seed, phase='joint', dataset='tiny', split_sha256='abc')
    content = dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text, dataset_meta=meta, ultrarefiner=own))
    torch.save(content, path)
    return str(path)
