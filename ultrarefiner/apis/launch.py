"""Runners on one process or many, on GPUs or on CPUs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.checkpoint import find_latest_checkpoint

from ..engine.hooks.best_checkpoint_hook import leaves
from ..models.segmentors import CoarseToFine
from ..registry import MODELS, OPTIMIZERS
from ..utils.checkpoint import check_input_profiles, load_strictly, read_checkpoint, state_dict_of
from ..utils.freeze import is_trainable
from ..utils.partial_checkpoint import PARTIAL_KEY, check_base
from ..utils.unwrap import unwrap
from .compute import prepare_compute
from .model import checked_model
from .training_record import read_record


def start_process_group(launcher: str) -> None:
    """Start the gloo process group for a distributed run on CPUs.

    The Runner starts NCCL's by itself where there is a GPU; without one its ``pytorch`` launcher asks CUDA for a device
    and dies, so the group has to be there before the Runner is built.

    Args:
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi', as the tools take it.

    Raises:
        RuntimeError: If the launcher's environment is missing, because the tool was started without it, or the launcher
            is one that works on GPUs alone.
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
        raise RuntimeError(
            f'--launcher {launcher} needs a GPU on every process; on CPUs start with torchrun or tools/dist_train.sh'
        )


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
        # The Runner reads find_unused_parameters only where it chooses the wrapper itself.
        unused = cfg.get('find_unused_parameters', False)
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, find_unused_parameters=unused)
    MODELS.import_from_location()
    done = prepare_compute(compute_settings(cfg))
    agree_on_matmul()
    runner = Runner.from_cfg(cfg)
    for line in done:
        runner.logger.info(line)
    return runner


def compute_settings(cfg: Config) -> dict:
    """The config's ``env_cfg``; a training that goes on computes as it began, so that it ends with the same bits."""
    env_cfg = dict(cfg.get('env_cfg') or {})
    record = (read_record(cfg.work_dir) if cfg.get('resume') else None) or {}
    if env_cfg.get('float32_matmul') == 'fastest' and 'float32_matmul' in record:
        env_cfg['float32_matmul'] = record['float32_matmul']
    return env_cfg


def agree_on_matmul() -> None:
    """Let all processes compute float32 matrix products as the first one does, whatever each has measured."""
    chosen = [torch.get_float32_matmul_precision()]
    broadcast_object_list(chosen)
    torch.set_float32_matmul_precision(chosen[0])


def prepare_training(runner: Runner) -> None:
    """Build all parts, load the initial weights and check where they come from, before any training.

    A hook that has a method ``check_run(runner)`` checks there what the config asks of it.

    Raises:
        FileNotFoundError: If a checkpoint to start or to go on from is absent.
        ValueError: If the model and the dataset differ in their classes, a checkpoint was trained on images that are
            held out here, or a hook cannot do what it is asked to.
    """
    model = checked_model(unwrap(runner.model))
    datasets = leaves(runner.train_loop.dataloader.dataset)
    if runner.cfg.get('val_cfg'):
        datasets += leaves(runner.val_loop.dataloader.dataset)
    check_classes(model, datasets)
    if not is_trainable(model):
        raise ValueError(
            'no weight of the model is trainable: check freeze_coarse, what the config freezes in the refiner, and '
            'whether the refiner has weights at all'
        )
    kind = runner.cfg.optim_wrapper.optimizer.type
    if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:
        raise ValueError(f'there is no optimizer {kind!r}: torch.optim names them, such as AdamW or SGD')
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    for hook in runner.hooks:
        if hasattr(hook, 'check_run'):
            hook.check_run(runner)
    resumed = checkpoint_to_resume(runner.cfg)
    if resumed is not None:
        check_provenance(read_checkpoint(resumed, 'give the path of a checkpoint'), datasets, resumed)
        return
    model.init_weights()
    for source in filter(None, model.init_from.values()):
        check_provenance(read_checkpoint(source), datasets, source)


def prepare_testing(runner: Runner, checkpoint: str) -> None:
    """Build the test set and check that the checkpoint fits the model and never saw an image of it.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If its weights do not fit the model of the config, or it was trained on images that are tested here.
    """
    model, datasets = build_test_set(runner)
    saved = read_checkpoint(checkpoint, 'train first, or give the path of a best.pth')
    check_provenance(saved, datasets, checkpoint)
    load_whole_model(model, saved, checkpoint)


def build_test_set(runner: Runner) -> tuple[CoarseToFine, list]:
    """Build the test set and check that the model has its classes.

    Returns:
        tuple[CoarseToFine, list]: The Runner's model and the datasets.

    Raises:
        ValueError: If the classes differ.
    """
    model = checked_model(unwrap(runner.model))
    datasets = leaves(runner.test_loop.dataloader.dataset)
    check_classes(model, datasets)
    return model, datasets


def load_whole_model(model: CoarseToFine, saved: dict, source: str) -> None:
    """Load a checkpoint of a whole `CoarseToFine`; one that holds only what trained goes over the frozen weights.

    Raises:
        ValueError: If the weights, the frozen ones under them, or the input profiles do not fit.
    """
    check_input_profiles(saved, model.input_profiles(), source)
    partial = saved.get('meta', {}).get(PARTIAL_KEY)
    if partial is not None:
        model.init_weights()
        check_base(model.state_dict(), partial['frozen'], source)
    load_strictly(model, state_dict_of(saved), source, optional=partial is not None)


def checkpoint_to_resume(cfg: Config) -> str | None:
    """The checkpoint that the Runner will go on from, or None where it starts anew."""
    if not cfg.get('resume'):
        return None
    return cfg.get('load_from') or find_latest_checkpoint(cfg.work_dir)


def check_classes(model: CoarseToFine, datasets: list) -> None:
    """Check that the network has a slot for each foreground class of the datasets.

    Raises:
        ValueError: If the numbers differ.
    """
    for dataset in datasets:
        classes = dataset.metainfo.get('classes')
        if classes is not None and len(classes) - 1 != model.num_slots:
            raise ValueError(
                f'the dataset has the foreground classes {tuple(classes[1:])}, the coarse network makes '
                f'{model.num_slots}: set num_classes of its decode head to {len(classes)} (num_slots of '
                f'PrecomputedCoarse to {len(classes) - 1}), or the classes and the label_map of the dataset'
            )


def check_provenance(checkpoint: dict, datasets: list, source: str) -> None:
    """Refuse a checkpoint of another split or another fold: it was trained on images that are held out here.

    A checkpoint that does not say what it was trained on, such as published weights, is accepted with a warning.

    Args:
        checkpoint (dict): As read.
        datasets (list): The datasets of this run, with ``dataset``, ``split_sha256`` and ``fold`` in their meta data,
            and ``merged_splits`` where one is merged of others.
        source (str): Where the checkpoint comes from, for messages.

    Raises:
        ValueError: If both know a dataset, and the hashes of its split, or the folds held out, differ.
    """
    made = checkpoint.get('meta', {}).get('ultrarefiner')
    if made is None:
        text = (
            f'{source} does not say what it was trained on: see to it that it never saw an image that is held out here'
        )
        print_log(text, logger='current', level=logging.WARNING)
        return
    known = [
        (name, split, dataset.metainfo.get('fold'))
        for dataset in datasets
        for name, split in splits_of(dataset.metainfo).items()
    ]
    for name, split, fold in known:
        trained = made.get('splits', {}).get(name)
        if trained is None:
            continue
        if trained != split:
            raise ValueError(
                f'{source} was trained on the split {trained[:12]} of {name}, the dataset of this config has the '
                f'split {split[:12]} (splits.json): train again, or take the dataset that it was trained on'
            )
        if fold is not None and made.get('fold') != fold:
            raise ValueError(
                f'{source} was trained with fold {made.get("fold")} of {name} held out, this run holds out fold '
                f'{fold}: it has seen images that are validated here; take the checkpoint of the same fold'
            )


def splits_of(metainfo: Mapping) -> dict[str, str]:
    """The hash of the split of a dataset, and of each that it was merged of, by name."""
    own = {metainfo['dataset']: metainfo.get('split_sha256')} if metainfo.get('dataset') else {}
    return {**metainfo.get('merged_splits', {}), **own}
