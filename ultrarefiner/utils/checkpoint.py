"""Reading checkpoints: safely, strictly, and with a clear message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.runner.checkpoint import get_torch_safe_globals
from torch import Tensor, nn

from .partial_checkpoint import PARTIAL_KEY, shorten

STAGES = ('coarse', 'refiner')


def read_checkpoint(path: str | Path, remedy: str = 'check the path') -> dict:
    """Read a checkpoint without running code from it.

    Args:
        path (str | Path): The file.
        remedy (str): What to do where the file is absent; ends the message.

    Returns:
        dict: As it was saved, tensors on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, is damaged, or holds objects other than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist; {remedy}')
    try:
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged bytes can make the unpickler raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'{path} cannot be read as a checkpoint of tensors and plain values ({reason}); it is damaged, of another '
            'kind, or holds pickled objects, which are not run'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path} holds a {type(checkpoint).__name__}, expected a dict of tensors or a checkpoint')
    return checkpoint


def state_dict_of(checkpoint: dict) -> dict[str, Tensor]:
    """The weights in a checkpoint: under 'state_dict' or 'model', or the dict itself; 'module.' is cut."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {name.removeprefix('module.'): value for name, value in checkpoint.items() if isinstance(value, Tensor)}


def stage_state_dict(checkpoint: dict, stage: str, source: str = 'the checkpoint') -> dict[str, Tensor]:
    """The weights of one stage, from a checkpoint of a whole model or of that stage alone.

    Args:
        checkpoint (dict): As read.
        stage (str): 'coarse' or 'refiner'.
        source (str): Where the checkpoint comes from, for the message. Defaults to 'the checkpoint'.

    Returns:
        dict[str, Tensor]: Those with the stage's prefix, which is cut, or all where no stage has weights with its
        prefix. Empty where the checkpoint holds only what trained, and nothing of the stage did.

    Raises:
        ValueError: If it is the checkpoint of a model without this stage.
    """
    state = state_dict_of(checkpoint)
    left_out = checkpoint.get('meta', {}).get(PARTIAL_KEY, {}).get('frozen', {})
    stages = [part for part in STAGES if any(name.startswith(f'{part}.') for name in (*state, *left_out))]
    if not stages:
        return {name: value for name, value in state.items() if not name.startswith('data_preprocessor.')}
    if stage not in stages:
        raise ValueError(
            f'{source} holds weights of the stage {" and ".join(stages)}, and none of the stage {stage}; give a '
            f'checkpoint whose model has a {stage}'
        )
    return {name.removeprefix(f'{stage}.'): value for name, value in state.items() if name.startswith(f'{stage}.')}


def check_input_profiles(checkpoint: dict, configured: Mapping[str, dict | None], source: str) -> None:
    """Compare the preprocessing stored with the weights to the configured one.

    Args:
        checkpoint (dict): As read.
        configured (Mapping[str, dict | None]): By stage, as `CoarseToFine.input_profiles` gives them.
        source (str): Where the checkpoint comes from, for messages.

    Raises:
        ValueError: If a stage was trained with another profile; the message names both.
    """
    stored = checkpoint.get('meta', {}).get('ultrarefiner', {}).get('input_profiles', {})
    for stage, profile in configured.items():
        if profile is not None and stage in stored and stored[stage] != profile:
            raise ValueError(
                f'{source}: the {stage} was trained with the input profile {stored[stage]}, the config says {profile}; '
                'use the same'
            )


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str, optional: bool = False) -> None:
    """Load weights; every difference is an error.

    Args:
        module (nn.Module): Takes the weights.
        state (dict[str, Tensor]): The weights.
        source (str): Where they come from, for messages.
        optional (bool): Whether ``state`` may lack names: it holds a part, the rest is there. Defaults to False.

    Raises:
        ValueError: If keys are missing or surplus, or shapes differ; all of them are counted, the first are listed.
    """
    own = module.state_dict()
    faults = {
        'missing': [] if optional else sorted(own.keys() - state.keys()),
        'surplus': sorted(state.keys() - own.keys()),
        'of another shape': [
            f'{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}'
            for name in sorted(own.keys() & state.keys())
            if own[name].shape != state[name].shape
        ],
    }
    found = [f'{len(names)} {kind}: {shorten(names)}' for kind, names in faults.items() if names]
    if found:
        raise ValueError(
            f'the weights in {source} do not fit {type(module).__name__}; '
            + '; '.join(found)
            + '. Check that the config is the one that they were trained with'
        )
    module.load_state_dict(state, strict=not optional)
