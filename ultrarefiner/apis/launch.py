"""Runners on one process or many, on GPUs or on CPUs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..engine.hooks.best_checkpoint_hook import leaves
from ..registry import MODELS
from ..utils.checkpoint import check_input_profiles, load_strictly, read_checkpoint, state_dict_of
from ..utils.partial_checkpoint import PARTIAL_KEY, check_base

FINISHED = 'finished.json'


def mark_finished(runner: Runner) -> None:
    """Leave a file in the work directory that says the training ran to its end, and with which settings."""
    if is_main_process():
        content = dict(fingerprint=runner.cfg.fingerprint, epochs=runner.epoch, iterations=runner.iter)
        (Path(runner.work_dir) / FINISHED).write_text(json.dumps(content))


def start_process_group(launcher: str) -> None:
    """Start the gloo process group for a distributed run on CPUs.

    The Runner starts NCCL's by itself where there is a GPU; without one its ``pytorch`` launcher asks CUDA for a device
    and dies, so the group has to be there before the Runner is built.

    Args:
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi', as the tools take it.

    Raises:
        RuntimeError: If the launcher's environment is missing, because the tool was started without it.
    """
    if launcher == 'none' or torch.cuda.is_available() or torch.distributed.is_initialized():
        return
    if launcher == 'pytorch':
        missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
        if missing:
            raise RuntimeError(
                f'--launcher pytorch: {", ".join(missing)} not set; start the tool with torchrun or tools/dist_train.sh'
            )
        torch.distributed.init_process_group(backend='gloo')
    else:
        init_dist(launcher, backend='gloo')


def build_runner(cfg: Config, launcher: str = 'none') -> Runner:
    """Build the Runner of a config.

    Args:
        cfg (Config): From `load_config`; its ``work_dir`` is where everything goes.
        launcher (str): As the tools take it. Defaults to 'none'.

    Returns:
        Runner: mmengine's, with the config's own ``runner_type`` if it names one.
    """
    cfg.launcher = launcher
    start_process_group(launcher)
    if launcher != 'none' and not torch.cuda.is_available():
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    MODELS.import_from_location()
    return Runner.from_cfg(cfg)


def prepare_training(runner: Runner) -> None:
    """Build the datasets and load the initial weights now, so that their faults show before any training.

    Raises:
        ValueError: If a checkpoint of an earlier phase was made with another split of the dataset.
    """
    dataset = runner.train_loop.dataloader.dataset
    if runner.cfg.get('val_cfg'):
        _ = runner.val_loop
    if not runner.cfg.get('resume'):
        model = unwrap(runner.model)
        model.init_weights()
        splits = {part.metainfo.get('dataset'): part.metainfo.get('split_sha256') for part in leaves(dataset)}
        for source in filter(None, model.init_from.values()):
            check_splits(read_checkpoint(source), splits, source)


def prepare_testing(runner: Runner, checkpoint: str) -> None:
    """Build the test set and check that the checkpoint fits the model, before any testing.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If its weights do not fit the model of the config.
    """
    _ = runner.test_loop
    model = unwrap(runner.model)
    saved = read_checkpoint(checkpoint, 'train first, or give the path of a best.pth')
    check_input_profiles(saved, model.input_profiles(), checkpoint)
    partial = saved.get('meta', {}).get(PARTIAL_KEY)
    if partial is not None:
        model.init_weights()
        check_base(model.state_dict(), partial['frozen'], checkpoint)
    load_strictly(model, state_dict_of(saved), checkpoint, optional=partial is not None)


def check_splits(checkpoint: dict, splits: dict[str, str], source: str) -> None:
    """Refuse a checkpoint that was trained on another split: its training images may be validation images here.

    Args:
        checkpoint (dict): As read.
        splits (dict[str, str]): The hash of the split, by dataset.
        source (str): Where the checkpoint comes from, for messages.

    Raises:
        ValueError: If both know a dataset, and the hashes of its split differ.
    """
    trained = checkpoint.get('meta', {}).get('ultrarefiner', {}).get('splits', {})
    for dataset in trained.keys() & splits.keys():
        if trained[dataset] != splits[dataset]:
            raise ValueError(
                f'{source} was trained on the split {trained[dataset][:12]} of {dataset}, the dataset of this '
                f'config has the split {splits[dataset][:12]} (splits.json): train the earlier phase again, or '
                'take the dataset that it was trained on'
            )


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, without its distributed wrapper."""
    return model.module if is_model_wrapper(model) else model
