"""training.json: what a work directory was trained with, and whether to the end."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.config import Config

RECORD = 'training.json'


def check_work_dir(cfg: Config, resume: bool) -> None:
    """Refuse to overwrite a training, or to go on with one under other settings.

    Args:
        cfg (Config): From `load_config`.
        resume (bool): Whether the training in ``work_dir`` is to go on.

    Raises:
        FileExistsError: If there is a training already and it is not to go on.
        ValueError: If it was begun with other settings.
    """
    record = read_record(cfg.work_dir)
    if record is None:
        return
    if not resume:
        raise FileExistsError(
            f'{cfg.work_dir} holds a training already; --resume goes on with it, --work-dir or --out-dir choose '
            'another folder, or move it away'
        )
    if record['fingerprint'] != cfg.fingerprint:
        raise ValueError(
            f'{cfg.work_dir} was trained with other settings than the config has now; choose another --out-dir or '
            '--work-dir, or move the folder away'
        )


def read_record(work_dir: str | Path) -> dict | None:
    """The record of a work directory, or None where nothing was trained."""
    path = Path(work_dir) / RECORD
    return json.loads(path.read_text()) if path.is_file() else None


def write_record(cfg: Config, splits: dict[str, str], precision: str, finished: bool, cost: dict | None = None) -> None:
    """Write the record, when a training begins and again when it has come to its end.

    Args:
        cfg (Config): From `load_config`.
        splits (dict[str, str]): The hash of the split, by dataset.
        precision (str): What it computes in, 'float32' or that of autocast.
        finished (bool): Whether the training has come to its end.
        cost (dict, optional): Of a finished training, from `training_cost`.
    """
    path = Path(cfg.work_dir) / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    record = dict(
        fingerprint=cfg.fingerprint,
        splits=splits,
        precision=precision,
        float32_matmul=torch.get_float32_matmul_precision(),
        finished=finished,
        cost=cost,
    )
    path.write_text(json.dumps(record, indent=1))
