"""From what a config says of an architecture to a model of `transformers`, with random weights and without network."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from .sam_family import SAMFamily
from .transformers_families import FAMILIES, UNFIT
from .transformers_published import PUBLISHED
from .transformers_weights import stored_sizes


def resolve(arch: str | dict | None, pretrained: str | None, local_files_only: bool) -> tuple[SAMFamily, object]:
    """The family and the config of an architecture.

    Args:
        arch (str | dict, optional): See `TransformersRefiner`.
        pretrained (str, optional): Says it where ``arch`` is None.
        local_files_only (bool): Whether to keep off the network.

    Returns:
        tuple[SAMFamily, object]: The family, and a config of its class in `transformers`.

    Raises:
        ValueError: If the architecture is not said, unknown, or has a size that does not exist.
        FileNotFoundError: If it has to be read and is not there.
        ImportError: If it needs a package that is not installed.
    """
    if arch is None and pretrained is None:
        raise ValueError(
            'TransformersRefiner: neither arch nor pretrained is given; give a published name, such as '
            "arch='facebook/sam2.1-hiera-tiny', or sizes, such as arch=dict(model_type='sam2', image_size=512)"
        )
    if arch is None and pretrained not in PUBLISHED:
        sizes = stored_sizes(pretrained, local_files_only)
        family = FAMILIES[sizes['model_type']]
        with _explained_import_error(sizes['model_type']):
            return family, family.classes()[0].from_dict(sizes)
    arch = pretrained if arch is None else arch
    sizes = dict(base=arch) if isinstance(arch, str) else dict(arch)
    base, side = sizes.pop('base', None), sizes.pop('image_size', None)
    if base is not None:
        if base not in PUBLISHED:
            raise ValueError(
                f'TransformersRefiner: arch is {base!r}, expected one of {", ".join(PUBLISHED)}, or a dict of sizes '
                'with a model_type; arch=None reads the architecture from the folder that pretrained names'
            )
        sizes = _merge(PUBLISHED[base], sizes)
    model_type = sizes.pop('model_type', None)
    family = _family(model_type)
    with _explained_import_error(model_type):
        return family, _config(family, sizes, side)


def build_model(family: SAMFamily, config: object) -> nn.Module:
    """A model with random weights, float32, in which what never trains is frozen.

    Args:
        family (SAMFamily): Of the model.
        config (object): From `resolve`.

    Raises:
        ImportError: If the architecture needs a package that is not installed.
    """
    with _explained_import_error(config.model_type):
        model = family.classes()[1](config).float()
    family.prepare(model)
    return model


def _family(model_type: str | None) -> SAMFamily:
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    reason = f'; {model_type} does not fit: {UNFIT[model_type]}' if model_type in UNFIT else ''
    raise ValueError(
        f'TransformersRefiner: arch has the model_type {model_type!r}, expected one of {", ".join(FAMILIES)}{reason}'
    )


@contextmanager
def _explained_import_error(model_type: str) -> Iterator[None]:
    """Say which architecture wanted a package that is not there."""
    try:
        yield
    except ImportError as error:
        if 'timm' not in str(error).lower():
            raise
        raise ImportError(
            f'TransformersRefiner: {model_type} needs the package timm, which makes its image encoder and is not '
            'installed: pip install timm'
        ) from error


def _config(family: SAMFamily, sizes: dict, side: int | None) -> object:
    """A config of the family's class, in which every part has the image size ``side``."""
    config_class = family.classes()[0]
    sizes = _merge(family.defaults, sizes)
    if side is not None:
        patch_size = config_class(**sizes).prompt_encoder_config.patch_size
        if side % patch_size:
            raise ValueError(
                f'TransformersRefiner: image_size is {side}, expected a multiple of the patch size {patch_size}'
            )
        sizes = _merge(sizes, family.sizes_for(side, side // patch_size))
    config = config_class(**sizes)
    _check_names(config, sizes, 'arch')
    return config


def _merge(base: dict, changes: dict) -> dict:
    """Changes laid over a nested dict; one of another ``model_type`` takes the place of what is there."""
    merged = dict(base)
    for name, value in changes.items():
        below = merged.get(name)
        nested = isinstance(value, dict) and isinstance(below, dict)
        same = nested and value.get('model_type', below.get('model_type')) == below.get('model_type')
        merged[name] = _merge(below, value) if same else value
    return merged


def _check_names(config: object, sizes: dict, path: str) -> None:
    """Refuse a size that does not exist: `transformers` keeps it as an attribute that nothing reads."""
    if config.model_type == 'timm_wrapper':  # timm checks its own
        return
    known = [name for name in inspect.signature(type(config)).parameters if name != 'kwargs']
    for name, value in sizes.items():
        if name not in (*known, 'model_type'):
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean {nearest[0]!r}?' if nearest else f'expected some of {", ".join(sorted(known))}'
            raise ValueError(f'TransformersRefiner: {path} has {name!r}, no size of {type(config).__name__}; {hint}')
        part = getattr(config, name, None)
        if isinstance(value, dict) and hasattr(part, 'model_type'):
            _check_names(part, value, f'{path}.{name}')
