"""Weights in the files of `transformers`: a folder with config.json and model.safetensors, or a name on the hub."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from torch import Tensor, nn

from ...utils.partial_checkpoint import shorten
from .transformers_families import FAMILIES, UNFIT
from .transformers_published import PUBLISHED

HUB = 'hf://'


def stored_sizes(source: str, local_files_only: bool, model_type: str | None = None) -> dict:
    """The architecture that a folder or a name on the hub stores, as the image model of it.

    Args:
        source (str): See `TransformersRefiner`.
        local_files_only (bool): Whether to keep off the network.
        model_type (str, optional): The one wanted, for the message where there is nothing.

    Returns:
        dict: The content of config.json, with a ``model_type`` of `FAMILIES`.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is of another kind.
    """
    path = _config_file(source, local_files_only, model_type)
    try:
        sizes = json.loads(Path(path).read_text())
        stored = sizes['model_type']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'TransformersRefiner: {path} is no config.json of transformers, a JSON object with a model_type'
        ) from error
    for name, family in FAMILIES.items():
        if stored == name or stored in family.stored_as:
            return {**sizes, 'model_type': name}
    reason = f': {UNFIT[stored]}' if stored in UNFIT else ''
    raise ValueError(
        f'TransformersRefiner: {source} holds a model of the type {stored!r}, expected one of '
        f'{", ".join(FAMILIES)}{reason}'
    )


def read_weights(model_class: type, config: object, source: str, local_files_only: bool) -> dict[str, Tensor]:
    """Weights for a model; every difference is an error.

    Args:
        model_class (type): Of `transformers`.
        config (object): The model's.
        source (str): See `TransformersRefiner`.
        local_files_only (bool): Whether to keep off the network.

    Returns:
        dict[str, Tensor]: All entries of the plain model's state dict.

    Raises:
        FileNotFoundError: If the folder or name is not there.
        ValueError: If it is of another architecture, lacks weights or cannot be read.
    """
    stored = stored_sizes(source, local_files_only, config.model_type)['model_type']
    if stored != config.model_type:
        raise ValueError(
            f'TransformersRefiner: {source} holds a {stored}, but the architecture is {config.model_type}; change '
            'arch, or leave it out to take the one of the weights'
        )
    try:
        loaded, report = _load_quietly(
            model_class,
            source.removeprefix(HUB),
            config=copy.deepcopy(config),
            local_files_only=local_files_only,
            ignore_mismatched_sizes=True,  # they are in the report, with everything else that does not fit
            output_loading_info=True,
        )
    except Exception as error:  # damaged bytes, a missing shard and a lost connection raise all kinds
        raise ValueError(
            f'TransformersRefiner: the weights in {source} cannot be read ({_reason(error)}); expected config.json and '
            'model.safetensors as save_pretrained writes them'
        ) from error
    faults = {
        'missing': report['missing_keys'],
        'surplus': report['unexpected_keys'],
        'of another shape': [
            f'{name} {tuple(theirs)} instead of {tuple(ours)}' for name, theirs, ours in report['mismatched_keys']
        ],
    }
    if any(faults.values()):
        listed = '; '.join(f'{len(names)} {kind}: {shorten(names)}' for kind, names in faults.items() if names)
        raise ValueError(
            f'TransformersRefiner: the weights in {source} do not fit the {config.model_type} of the config. {listed}. '
            'Change the sizes in arch, or leave arch out to take those of the weights'
        )
    return loaded.state_dict()


def _config_file(source: str, local_files_only: bool, model_type: str | None) -> str | Path:
    """The path of config.json, which is fetched if the source is a name."""
    folder = Path(source)
    if folder.is_dir() or not (source in PUBLISHED or source.startswith(HUB)):
        if (folder / 'config.json').is_file():
            return folder / 'config.json'
        raise FileNotFoundError(_absent(source, f'there is no file {folder / "config.json"}', model_type))
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(source.removeprefix(HUB), 'config.json', local_files_only=local_files_only)
    except Exception as error:  # no such name, no connection, no permission: each has a class of its own
        raise FileNotFoundError(_absent(source, _reason(error), model_type)) from error


def _absent(source: str, reason: str, model_type: str | None) -> str:
    names = [name for name, sizes in PUBLISHED.items() if model_type in (None, sizes['model_type'])]
    return (
        f'TransformersRefiner: pretrained is {source!r}, and it is not there: {reason}. Expected is a folder with '
        f'config.json and model.safetensors, a published name ({", ".join(names)}), or {HUB}OWNER/NAME for another on '
        'the Hugging Face hub; where there is network, "hf download NAME --local-dir FOLDER" makes such a folder. To '
        'go on with random weights, set pretrained=None and say the architecture in arch'
    )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')


def _load_quietly(model_class: type, source: str, **options) -> tuple[nn.Module, dict]:
    """``from_pretrained`` without its report in the log: what it says is in the answer."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return model_class.from_pretrained(source, **options)
    finally:
        logging.set_verbosity(verbosity)
