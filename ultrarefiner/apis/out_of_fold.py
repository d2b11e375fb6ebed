"""Out-of-fold predictions: each training image by the model of the fold that did not see it, exactly once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner, autocast
from rich.progress import track

from ..data_preparation.splits import Splits
from ..utils.checkpoint import read_checkpoint
from ..utils.precision import check_precision
from .config import load_config
from .launch import load_whole_model
from .model import build_model

PROOF = 'proof.json'
UNFINISHED_PROOF = 'proof.json.partial'


def predict_folds(config: str, options: dict, overwrite: bool = False, precision: str | None = None) -> Path:
    """Predict every training image of a dataset out of fold.

    Writes ``{out_dir}/predictions/{dataset}/predictions/{name}.npy``, float32 probabilities in [0, 1] at the coarse
    network's input size, (H, W), or (K, H, W) for several classes; and ``proof.json`` beside that folder: for each
    image the fold, the hash of its prediction, the checkpoint and its hash; the hash of the split; and how many images
    were predicted by a model that saw their group (patient or near-duplicates), which is 0 with grouped folds.

    Args:
        config (str): The phase-1 config.
        options (dict): As for `load_config`, without ``fold``.
        overwrite (bool): Whether earlier predictions may be replaced. Defaults to False.
        precision (str, optional): 'bfloat16' or 'float16' for autocast. None computes in float32.

    Returns:
        Path: The folder of the predictions.

    Raises:
        FileExistsError: If there are predictions already.
        FileNotFoundError: If a fold's checkpoint is missing; all missing ones are named.
        ValueError: If a checkpoint belongs to another fold or split, or the coverage is not exactly once.
    """
    cfg = load_config(config, {**options, 'fold': 0})
    splits = Splits.load(Path(cfg.data_dir) / cfg.dataset / 'splits.json')
    target = Path(cfg.out_dir) / 'predictions' / cfg.dataset
    interrupted = (target / UNFINISHED_PROOF).is_file()
    if (target / 'predictions').exists() and not interrupted and not overwrite:
        raise FileExistsError(f'{target / "predictions"} exists already; --overwrite replaces it')
    folds = [load_config(config, {**options, 'fold': fold}) for fold in range(splits.n_folds)]
    checkpoints = [Path(fold_cfg.work_dir) / 'best.pth' for fold_cfg in folds]
    missing = [str(path) for path in checkpoints if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {splits.n_folds} folds have no checkpoint: {", ".join(missing)}; train them with '
            f'tools/train.py {config} --fold K'
        )
    for fold, path in enumerate(checkpoints):
        check_provenance(read_checkpoint(path), splits.digest, fold, path)

    partial = target / 'predictions.partial'
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    entries: dict[str, dict] = {}
    for fold, (fold_cfg, path) in enumerate(zip(folds, checkpoints)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for name, probability in _predict_validation_images(fold_cfg, path, precision, f'fold {fold}'):
            if name in entries:
                raise ValueError(
                    f'{name} is predicted twice, in folds {entries[name]["fold"]} and {fold}: check '
                    f'{cfg.data_dir}/{cfg.dataset}/splits.json'
                )
            file = partial / f'{name}.npy'
            np.save(file, probability)
            entries[name] = dict(
                fold=fold,
                sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
                checkpoint=os.path.relpath(path, target),
                checkpoint_sha256=digest,
            )
    check_coverage(set(entries), splits)
    proof = dict(
        dataset=splits.dataset,
        split_sha256=splits.digest,
        protocol=splits.protocol,
        precision=precision or 'float32',
        n_images_whose_group_was_seen=seen_groups(splits),
        n_images=len(entries),
        entries=entries,
    )
    # The unfinished proof says, after an interruption here, that the folder is ours to make again.
    (target / UNFINISHED_PROOF).write_text(json.dumps(proof, indent=1, sort_keys=True))
    (target / PROOF).unlink(missing_ok=True)
    shutil.rmtree(target / 'predictions', ignore_errors=True)
    partial.rename(target / 'predictions')
    (target / UNFINISHED_PROOF).rename(target / PROOF)
    return target / 'predictions'


def seen_groups(splits: Splits) -> int:
    """The number of training images whose fold's model saw another image of their group: 0 with grouped folds."""
    count = 0
    for fold in range(splits.n_folds):
        seen = {splits.groups[name] for name in splits.train_names(fold)}
        count += sum(splits.groups[name] in seen for name in splits.fold_names(fold))
    return count


def check_provenance(checkpoint: dict, split: str, fold: int, path: Path) -> None:
    """Check that a checkpoint was trained on this split, with this fold held out.

    Raises:
        ValueError: If it says otherwise, or does not say.
    """
    made = checkpoint.get('meta', {}).get('ultrarefiner', {})
    for key, expected in (('split_sha256', split), ('fold', fold)):
        if made.get(key) != expected:
            raise ValueError(
                f'{path} was trained with {key} {made.get(key)}, expected {expected}: train it again with '
                'tools/train.py on this dataset'
            )


def check_coverage(predicted: set[str], splits: Splits) -> None:
    """Check that the training images, all of them and no others, are predicted.

    Raises:
        ValueError: If one is missing or foreign.
    """
    missing, foreign = sorted(set(splits.train) - predicted), sorted(predicted - set(splits.train))
    if missing or foreign:
        raise ValueError(
            f'out-of-fold predictions do not cover the training images: {len(missing)} missing '
            f'{missing[:3]}, {len(foreign)} foreign {foreign[:3]}'
        )


@torch.no_grad()
def _predict_validation_images(
    cfg: Config, checkpoint: Path, precision: str | None, title: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, probability) for each validation image of a fold."""
    saved = read_checkpoint(checkpoint)
    model = build_model(cfg)
    load_whole_model(model, saved, str(checkpoint))
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    loader = Runner.build_dataloader(cfg.val_dataloader, seed=0)
    for batch in track(loader, description=f'predicting {title}'):
        batch = model.data_preprocessor(batch)
        with autocast(enabled=precision is not None, dtype=precision and check_precision(precision)):
            coarse = model.run_coarse(batch['inputs'], batch['data_samples'])
        for sample, probability in zip(batch['data_samples'], coarse.probabilities):
            yield sample.metainfo['name'], probability.squeeze(0).float().cpu().numpy()
