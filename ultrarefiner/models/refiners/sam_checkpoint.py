"""SAM's weights from a file: the published ones, MedSAM's, and what our training saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ...utils.checkpoint import read_checkpoint, state_dict_of
from ...utils.partial_checkpoint import PARTIAL_KEY, differing, shorten

PARTS = ('image_encoder.', 'prompt_encoder.', 'mask_decoder.')
REMEDY = (
    'it holds the weights of a Segment Anything Model: sam_vit_b_01ec64.pth, sam_vit_l_0b3195.pth and '
    'sam_vit_h_4b8939.pth are published at https://dl.fbaipublicfiles.com/segment_anything/<file> (README of '
    'facebookresearch/segment-anything), medsam_vit_b.pth is linked from the README of bowang-lab/MedSAM; to go on '
    'without it, with random weights, set checkpoint=None in the refiner config'
)


def read_sam(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str], dict]:
    """Read a file of any of the known layouts.

    These are a flat state dict (``sam_vit_*.pth``, ``medsam_vit_b.pth``), one under ``model`` (MedSAM's training), one
    under ``state_dict`` (mmengine); with any prefix before SAM's own names, such as ``module.`` or ``refiner.``.

    Args:
        path (str | Path): The file. Only tensors and plain values are read from it, never code.

    Returns:
        tuple[dict[str, Tensor], dict[str, str], dict]: The entries, by SAM's own names; the fingerprints of the frozen
        entries that the file leaves out, by the same names; and the file as it was saved.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, or holds no SAM.
    """
    checkpoint = read_checkpoint(path, REMEDY)
    state = state_dict_of(checkpoint)
    frozen = checkpoint.get('meta', {}).get(PARTIAL_KEY, {}).get('frozen', {})
    prefix = _prefix_of_sam([*state, *frozen], path)
    return _under(prefix, state), _under(prefix, frozen), checkpoint


def fit(
    state: dict[str, Tensor],
    frozen: dict[str, str],
    own: dict[str, Tensor],
    plain_key: Callable[[str], str | None],
    path: str | Path,
) -> dict[str, Tensor]:
    """Fit the entries of a file to a model's, or say everything that keeps them from fitting.

    The weights of a plain network fit an adapted one, whose adapter then keeps its own start. Position embeddings of
    another image size are interpolated, as `segment_anything` does at run time for the relative ones.

    Args:
        state (dict[str, Tensor]): The file's entries.
        frozen (dict[str, str]): Fingerprints of what the file leaves out and the model has to have.
        own (dict[str, Tensor]): The model's state dict.
        plain_key (Callable[[str], str | None]): `BaseAdapter.plain_key`, or the identity.
        path (str | Path): For the message.

    Returns:
        dict[str, Tensor]: What to load, by the model's names.

    Raises:
        ValueError: If an entry is missing, surplus or of another shape, or the base is not the one needed.
    """
    plain = {name: plain_key(name) for name in own}
    if not any(name in state for name in own if plain[name] is None):
        renamed = {plain[name]: name for name in own if plain[name] is not None}
        state = {renamed.get(name, name): value for name, value in state.items()}
        own = {name: value for name, value in own.items() if plain[name] is not None}
    different = differing(own, frozen)
    if different:
        raise ValueError(
            f'SAMRefiner: {path} holds only trained weights, and {len(different)} of the {len(frozen)} frozen ones '
            f'that they need differ from what the model has: {shorten(different)}. Load the file they came from first; '
            f'in a config, give that one as the checkpoint of the refiner and {path} as init_from=dict(refiner=...)'
        )
    state = {name: _resize_positions(name, value, own.get(name)) for name, value in state.items()}
    faults = {
        'missing': own.keys() - state.keys() - frozen.keys(),
        'surplus': state.keys() - own.keys(),
        'of another shape': {
            f'{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}'
            for name, value in state.items()
            if name in own and value.shape != own[name].shape
        },
    }
    if any(faults.values()):
        listed = '; '.join(f'{len(names)} {kind}: {shorten(names)}' for kind, names in faults.items() if names)
        raise ValueError(
            f'SAMRefiner: {path} does not fit the model. {listed}. Check arch (vit_b, vit_l, vit_h or sizes) and '
            "encoder ('frozen', 'trained' or an adapter's config) against what the file was made with"
        )
    return state


def _prefix_of_sam(names: list[str], path: Path) -> str:
    for part in PARTS:
        prefixes = {name[: name.index(part)] for name in names if part in name}
        if len(prefixes) == 1:
            return prefixes.pop()
    raise ValueError(
        f'SAMRefiner: {path} holds no Segment Anything Model: names with {", ".join(PARTS)} are expected, and it has '
        f'{shorten(names) or "none"}'
    )


def _under(prefix: str, entries: dict) -> dict:
    starts = tuple(prefix + part for part in PARTS)
    return {name[len(prefix) :]: value for name, value in entries.items() if name.startswith(starts)}


def _resize_positions(name: str, value: Tensor, own: Tensor | None) -> Tensor:
    """Interpolate position embeddings between image sizes; anything else is returned as it is."""
    if own is None or value.shape == own.shape or value.shape[-1] != own.shape[-1]:
        return value
    if name == 'image_encoder.pos_embed':  # (1, g, g, C)
        resized = F.interpolate(
            value.permute(0, 3, 1, 2), own.shape[1:3], mode='bilinear', align_corners=False, antialias=False
        )
        return resized.permute(0, 2, 3, 1)
    if name.endswith(('attn.rel_pos_h', 'attn.rel_pos_w')):  # (2 g - 1, C)
        return F.interpolate(value.T[None], own.shape[0], mode='linear', align_corners=False)[0].T
    return value
