"""The files that a test and the inferencer leave of each image: masks, coarse masks, prompts.

In a folder of results lie ``masks/{dataset}/{name}.png`` of the last stage, ``coarse/{dataset}/{name}.png`` of the
coarse stage where there is a later one, and ``prompts/{dataset}/{name}.json``; without ``{dataset}`` where there is
none. The mask prompt is not kept: it is made of the coarse mask.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..structures import Prompts

FRAME = 'normalised'


def mask_picture(labels: np.ndarray, num_slots: int) -> np.ndarray:
    """The grey values of a mask's file.

    Args:
        labels (np.ndarray): (H, W): 0 background, k + 1 class k.
        num_slots (int): K, the number of foreground classes.

    Returns:
        np.ndarray: (H, W) uint8: 0 and 255 for one class, the labels for more.
    """
    return (labels * 255 if num_slots == 1 else labels).astype(np.uint8)


def write_mask(path: str | Path, labels: np.ndarray, num_slots: int) -> None:
    """Write a mask as PNG; arguments as for `mask_picture`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask_picture(labels, num_slots)).save(path)


def write_prompts(path: str | Path, prompts: Prompts) -> None:
    """Write the points and boxes of one image (N = 1) as JSON, see `prompts_to_dict`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(prompts_to_dict(prompts)))


def prompts_to_dict(prompts: Prompts) -> dict:
    """The points and boxes of one image as plain values.

    Args:
        prompts (Prompts): N = 1, K slots.

    Returns:
        dict: ``frame``, which is 'normalised' to the image's outer edges, and ``slots``: for each whether it is
        ``valid``, and of what there is ``points`` [[x, y], ...], their ``point_labels`` (1 object, 0 background;
        padding is left out), and ``box`` [x0, y0, x1, y1].
    """
    given = [value for value in (prompts.points, prompts.boxes, prompts.masks, prompts.valid) if value is not None]
    slots = []
    for k in range(given[0].shape[1]):
        slot: dict = dict(valid=prompts.valid is None or bool(prompts.valid[0, k]))
        if prompts.points is not None:
            labels = prompts.point_labels[0, k]
            kept = labels >= 0
            slot.update(points=_rounded(prompts.points[0, k][kept]), point_labels=labels[kept].tolist())
        if prompts.boxes is not None:
            slot['box'] = _rounded(prompts.boxes[0, k])
        slots.append(slot)
    return dict(frame=FRAME, slots=slots)


def prompts_from_dict(entry: dict) -> Prompts:
    """Read what `prompts_to_dict` made; slots with fewer points than others are filled up with padding.

    Args:
        entry (dict): As read from a file.

    Returns:
        Prompts: N = 1, K slots, without masks.

    Raises:
        ValueError: If the frame is another, or the slots are not alike in what they have.
    """
    if entry.get('frame') != FRAME:
        raise ValueError(f'prompts are in the frame {entry.get("frame")!r}, expected {FRAME!r}')
    slots = entry['slots']
    kinds = {frozenset(slot) - {'valid'} for slot in slots}
    if len(kinds) != 1:
        raise ValueError(f'the slots have different prompts, {sorted(map(sorted, kinds))}, expected the same in each')
    made = dict(valid=torch.tensor([[slot['valid'] for slot in slots]]))
    if 'points' in slots[0]:
        most = max(len(slot['points']) for slot in slots)
        missing = [most - len(slot['points']) for slot in slots]
        points = [[*slot['points'], *[[0.0, 0.0]] * n] for slot, n in zip(slots, missing)]
        labels = [[*slot['point_labels'], *[-1] * n] for slot, n in zip(slots, missing)]
        made['points'] = torch.tensor(points).view(1, len(slots), most, 2)
        made['point_labels'] = torch.tensor(labels).view(1, len(slots), most).long()
    if 'box' in slots[0]:
        made['boxes'] = torch.tensor([[slot['box'] for slot in slots]])
    return Prompts(**made)


def _rounded(coordinates: Tensor) -> list:
    """Plain numbers; at six decimals an image of 10,000 pixels is told to a hundredth of a pixel."""
    return np.round(coordinates.double().cpu().numpy(), 6).tolist()
