"""The models that the project ships configs, results or weights of, as the metafiles of configs/ list them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from mmengine.fileio import load

from ..utils.command_line import did_you_mean
from ..utils.project_files import configs_root


@dataclass(frozen=True)
class ModelInfo:
    """One model of a metafile.

    Args:
        name (str): The name of its config file, without the ending, or of the folder of its package.
        collection (str): The method that it belongs to, such as 'TransUNet'.
        config (Path): Its config file.
        weights (Path, optional): Its checkpoint or package; None where none is shipped.
        metadata (dict): What it is made for: phase, data, epochs, batch size, hardware.
        results (tuple[dict, ...]): One dict a measured result, with 'Task', 'Dataset' and 'Metrics'; empty where
            nothing was measured.
        readme (Path): The page of its collection.
    """

    name: str
    collection: str
    config: Path
    weights: Path | None
    metadata: dict
    results: tuple[dict, ...]
    readme: Path


def list_models(pattern: str | None = None) -> list[str]:
    """The names of the models that the project ships, with weights or as a config alone.

    Args:
        pattern (str, optional): Only names that fit it, as in a shell: ``'transunet*'``, ``'*phase3*busi*'``. Defaults
            to all.

    Returns:
        list[str]: Sorted; empty if none fits.

    Examples:
        >>> list_models('unet*')
        ['unet_small_1xb8-4e_busi-96x96']
    """
    return sorted(fnmatch.filter(_models(), pattern or '*'))


def find_model(name: str) -> ModelInfo:
    """What the project ships of a model.

    Args:
        name (str): One of `list_models`.

    Returns:
        ModelInfo: Its config, and its weights and results where there are some.

    Raises:
        KeyError: If there is no such model; the message names the nearest one.
    """
    models = _models()
    if name not in models:
        raise KeyError(
            f'no model is named {name!r}{did_you_mean(name, models, cutoff=0.3)}; ultrarefiner.apis.list_models() '
            'lists all, and a config or checkpoint of your own is given by its path'
        )
    return models[name]


def _models() -> dict[str, ModelInfo]:
    """Every model of every metafile, by name; a few files, so they are read anew each time."""
    root = configs_root().parent
    models = {}
    for path in sorted(root.glob('configs/*/metafile.yml')):
        content = load(path)
        readmes = {collection['Name']: root / collection['README'] for collection in content['Collections']}
        for entry in content['Models']:
            weights = entry.get('Weights')
            models[entry['Name']] = ModelInfo(
                name=entry['Name'],
                collection=entry['In Collection'],
                config=root / entry['Config'],
                weights=root / weights if weights else None,
                metadata=entry.get('Metadata', {}),
                results=tuple(entry.get('Results', ())),
                readme=readmes[entry['In Collection']],
            )
    return models
