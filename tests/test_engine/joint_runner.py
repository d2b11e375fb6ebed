"""A Runner for phase 3 on the tiny dataset, with small networks."""

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ultrarefiner.registry import MODELS

PIPELINE = [dict(type=name) for name in ('LoadImage', 'LoadMask', 'PackRefinerInputs')]


def joint_model(small_parts, **changes):
    """Config of a small `CoarseToFine` for phase 3."""
    model = copy.deepcopy(small_parts)
    model.update(
        prompt_generator=dict(type='MaskPrompt'),
        losses=[dict(type='StageBCE', stage='coarse'), dict(type='StageBCE', stage='refined')],
    )
    model.update(changes)
    return model


def save_coarse(small_parts, path):
    """Save the weights of a phase 1 whose masks are not empty, so that there is something to refine."""
    init_default_scope('ultrarefiner')
    torch.manual_seed(7)
    coarse = MODELS.build(small_parts['coarse'])
    with torch.no_grad():
        coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))
    torch.save(dict(state_dict={f'coarse.{name}': value for name, value in coarse.state_dict().items()}, meta={}), path)
    return str(path)


def joint_runner(tiny_root, work_dir, model, epochs=2, hooks=(), validate=True, **options):
    """A Runner with the default hooks of the configs, two steps an epoch, without a random part.

    Without validation it saves no checkpoint either.
    """

    def loader(subset):
        where = dict(data_root=str(tiny_root), subset=subset, fold=0)
        return dict(
            # Serialising collects garbage, which takes longer than the training.
            dataset=dict(type='ConvertedDataset', pipeline=PIPELINE, serialize_data=False, **where),
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=2,
        )

    cfg = dict(
        default_scope='ultrarefiner',
        work_dir=str(work_dir),
        model=model,
        train_dataloader=loader('train'),
        val_dataloader=loader('val'),
        test_dataloader=loader('test'),
        val_evaluator=dict(type='RefinementMetric'),
        test_evaluator=dict(type='RefinementMetric'),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=1, save_best='refined/Dice', rule='greater'),
            best_checkpoint=dict(type='BestCheckpointHook'),
            trainable_report=dict(type='TrainableReportHook'),
            missed_validation=dict(type='MissedValidationHook'),
        ),
        custom_hooks=list(hooks),
        randomness=dict(seed=0),
        experiment_name=f'{Path(work_dir).name}_{joint_runner.count}',
        log_level='INFO',
    )
    if not validate:
        cfg.update(val_dataloader=None, val_evaluator=None, val_cfg=None)
        cfg['default_hooks'] = dict(checkpoint=dict(type='CheckpointHook', interval=-1, save_last=False))
    joint_runner.count += 1  # each Runner has a message hub and a logger of its own
    # Formatting the config at every checkpoint would take most of the time.
    return Runner.from_cfg(Config({**cfg, **options}, format_python_code=False))


joint_runner.count = 0


class Watch(Hook):
    """Calls a function of the Runner at one moment, and keeps what it gives.

    Args:
        moment (str): Name of a hook's method, such as 'after_train_epoch'.
        look (callable): Called with the Runner.
    """

    def __init__(self, moment, look):
        self.seen = []
        setattr(self, moment, lambda runner, *args, **kwargs: self.seen.append(look(runner)))

    def __deepcopy__(self, memo):
        return self


def watch(runner, moment, look, priority='VERY_HIGH'):
    """Register a `Watch`; returns the list that it fills."""
    hook = Watch(moment, look)
    runner.register_hook(hook, priority=priority)
    return hook.seen


def state_of(module):
    """A copy of the state dict."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(before, after):
    """The names of the entries that differ."""
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def read_log(work_dir):
    """The text of all logs in a work directory."""
    return '\n'.join(path.read_text() for path in Path(work_dir).rglob('*.log'))
