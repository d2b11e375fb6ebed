"""--amp: training and inference under autocast."""

from __future__ import annotations

import argparse

import torch
from mmengine.config import Config
from mmengine.device import get_device

from ..utils.precision import PRECISIONS, check_precision, suitable_precision

SUITABLE = 'suitable'


def add_amp_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--amp [bfloat16|float16]``.

    Args:
        parser (argparse.ArgumentParser): Of a tool.
        what (str): What is done in mixed precision, for its help.
    """
    parser.add_argument(
        '--amp',
        nargs='?',
        const=SUITABLE,
        choices=(SUITABLE, *PRECISIONS),
        metavar='|'.join(PRECISIONS),
        help=f'{what} in mixed precision; without a value in bfloat16, on a GPU that lacks it in float16',
    )


def amp_precision(amp: str | None) -> str | None:
    """The precision that the value of ``--amp`` asks for; None where it was not given.

    Raises:
        ValueError: If the device cannot compute in it.
    """
    precision = suitable_precision() if amp == SUITABLE else amp
    if precision is not None:
        check_precision(precision)
    return precision


def training_options(amp: str | None, *configs: str) -> dict:
    """The config options that a training under ``--amp`` stands for; so they are in its fingerprint.

    Args:
        amp (str, optional): The value of the argument.
        *configs (str): The configs that are trained.

    Raises:
        ValueError: If a config has an optimizer wrapper of its own, or the device cannot compute in the precision.
    """
    precision = amp_precision(amp)
    if precision is None:
        return {}
    for config in configs:
        kind = Config.fromfile(config).get('optim_wrapper', {}).get('type', 'OptimWrapper')
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ValueError(f"--amp works with optim_wrapper.type='OptimWrapper', {config} has {kind!r}")
    return {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': precision}


def autocast_testing(cfg: Config, precision: str) -> None:
    """Have mmengine's test loop compute in a precision; the metrics stay in float32."""
    cfg.test_cfg.fp16 = True  # mmengine's name for autocast of any kind; the dtype is the process's default
    torch.set_autocast_dtype(get_device(), check_precision(precision))
