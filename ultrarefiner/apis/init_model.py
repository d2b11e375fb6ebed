"""init_model: a model ready to predict, from a checkpoint, a package, a config or a name."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmengine.config import Config

from ..datasets.class_palette import class_palette
from ..models.segmentors import CoarseToFine
from ..utils.checkpoint import read_checkpoint
from ..utils.partial_checkpoint import PARTIAL_KEY
from .checkpoint_config import config_of, import_plugins
from .config import complete_config, load_config
from .launch import load_whole_model
from .model import build_model
from .model_package import CONFIG_FILE, is_package, read_package
from .model_zoo import find_model

CHECKPOINT_ENDINGS = ('.pth', '.pt')


def init_model(
    model: str | Path | Config,
    weights: str | Path | None = None,
    coarse: str | Path | None = None,
    device: str | torch.device | None = None,
) -> CoarseToFine:
    """Build a trained model, in evaluation mode.

    Args:
        model (str | Path | Config): A checkpoint, which carries its config; the folder of a package that
            ``tools/export.py --format package`` wrote; a config; or a name of `list_models`.
        weights (str | Path, optional): The checkpoint of a config or a name. A name whose weights come with the project
            needs none.
        coarse (str | Path, optional): A checkpoint of phase 1, or anything else that `model` may be, whose coarse
            network takes the place of the model's own. A checkpoint of phase 2 has none but stored predictions.
        device (str | torch.device, optional): Defaults to a GPU where there is one.

    Returns:
        CoarseToFine: With ``dataset_meta`` (its ``classes``, background first, and their ``palette``), ``provenance``
        (what its weights were trained on: the ``ultrarefiner`` entry of the checkpoint's meta data) and ``cfg``.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If there is no model of that name.
        ValueError: If a file is none of those, weights do not fit, or a config comes without weights.
    """
    built = assemble(*open_parts(model, weights))
    if coarse is not None:
        replace_coarse(built, assemble(*open_parts(coarse)), str(coarse))
    return built.to(device or ('cuda' if torch.cuda.is_available() else 'cpu')).eval()


def replace_coarse(model: CoarseToFine, other: CoarseToFine, source: str) -> None:
    """Give a model the coarse network of another one.

    Args:
        model (CoarseToFine): Is changed.
        other (CoarseToFine): Has the coarse network.
        source (str): Where `other` comes from, for the message.

    Raises:
        ValueError: If they have different numbers of classes, or the same classes in another order.
    """
    if other.num_slots != model.num_slots:
        raise ValueError(
            f'the coarse network of {source} has {other.num_slots} foreground classes, the model {model.num_slots}; '
            'take one that was trained for the same classes'
        )
    names, expected = (tuple(each.dataset_meta['classes']) for each in (other, model))
    if names != expected and sorted(names) == sorted(expected):
        raise ValueError(
            f'the coarse network of {source} has the classes {names}, the model {expected}; they need the same order'
        )
    model.coarse, model.coarse_input = other.coarse, other.coarse_input
    # One by one: update() of a config would merge the two networks.
    for key in ('coarse', 'coarse_input'):
        model.cfg.model[key] = other.cfg.model[key]
    plug_ins = list(dict.fromkeys([*_plug_ins(model.cfg), *_plug_ins(other.cfg)]))
    if plug_ins:
        model.cfg.custom_imports = dict(imports=plug_ins, allow_failed_imports=False)


def _plug_ins(cfg: Config) -> list[str]:
    names = (cfg.get('custom_imports') or {}).get('imports') or []
    return [names] if isinstance(names, str) else list(names)


def open_parts(model: str | Path | Config, weights: str | Path | None = None) -> tuple[Config, dict, str]:
    """The config and the checkpoint that a model is assembled of; arguments and errors as for `init_model`.

    Returns:
        tuple[Config, dict, str]: The config with late variables filled in; a checkpoint with ``state_dict`` and
        ``meta``; where the weights come from. They are what `assemble` takes.
    """
    if isinstance(model, (str, Path)) and (Path(model).suffix in CHECKPOINT_ENDINGS or is_package(model)):
        if weights is not None:
            raise ValueError(f'{model} has weights of its own, and {weights} is given too; give one of them')
        if Path(model).is_dir():
            return *read_package(model), str(model)
        checkpoint = read_checkpoint(model, 'give the path of a best.pth')
        return config_of(checkpoint, str(model)), checkpoint, str(model)
    if isinstance(model, Config):
        cfg = model if 'fingerprint' in model else complete_config(copy.deepcopy(model))
    elif Path(model).suffix == '.py':
        cfg = load_config(model)
    elif Path(model).is_dir():
        raise ValueError(f'{model} is a folder, and no package: it has no {CONFIG_FILE}; give the best.pth in it')
    else:
        found = find_model(str(model))
        if found.weights is not None and is_package(found.weights):
            return open_parts(found.weights, weights)
        cfg, weights = load_config(found.config), weights or found.weights
    if weights is None:
        name = model.filename if isinstance(model, Config) else model
        raise ValueError(f'{name} comes without weights: train it, and give its best.pth as weights')
    return cfg, read_checkpoint(weights, 'give the path of a best.pth'), str(weights)


def assemble(cfg: Config, checkpoint: dict, source: str) -> CoarseToFine:
    """Build a model for prediction and load its weights strictly.

    Args:
        cfg (Config): With late variables filled in.
        checkpoint (dict): With ``state_dict`` and ``meta``.
        source (str): Where the weights come from, for messages.

    Raises:
        ImportError: If the config imports a plug-in that is not there.
        ValueError: If the config is of no `CoarseToFine`, has a type that is no part of a model, or the weights do not
            fit.
    """
    import_plugins(cfg, source)
    cfg = for_prediction(cfg, complete=PARTIAL_KEY not in checkpoint.get('meta', {}))
    model = build_model(cfg)
    load_whole_model(model, checkpoint, source)
    meta = checkpoint.get('meta', {})
    model.provenance = meta.get('ultrarefiner', {})
    model.dataset_meta = described_classes(meta.get('dataset_meta') or {}, model)
    model.cfg = cfg
    return model


def for_prediction(cfg: Config, complete: bool) -> Config:
    """A copy of a config without what only training needs.

    Args:
        cfg (Config): Of a training.
        complete (bool): Whether the checkpoint holds every weight. The files that the training began with are then not
            needed; else they give the frozen weights.
    """
    cfg = copy.deepcopy(cfg)
    for key in ('losses', 'regularizers', 'init_from', 'embedding_cache'):
        if complete or key != 'init_from':
            cfg.model.pop(key, None)
    return cfg


def described_classes(meta: dict, model: CoarseToFine) -> dict:
    """Names and colours of the classes; numbers and the usual colours where a checkpoint does not say."""
    classes = tuple(meta.get('classes') or ('background', *(f'class {k + 1}' for k in range(model.num_slots))))
    palette = meta.get('palette') or class_palette(len(classes))
    return dict(classes=classes, palette=[list(colour) for colour in palette])
