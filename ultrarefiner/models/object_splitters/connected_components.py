"""ConnectedComponents: every lesion of a class gets a slot of its own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ...interfaces import BaseObjectSplitter
from ...registry import OBJECT_SPLITTERS
from ...structures import SegOutput

# The logit that stands for nothing; lower where the class itself has a lower one.
FLOOR = -20.0
# What is not to be refined is lowered by this, so that no generator finds anything in it, and raised again by `merge`.
HIDDEN = 128.0
TOUCHING = np.ones((3, 3), dtype=int)


@OBJECT_SPLITTERS.register_module()
class ConnectedComponents(BaseObjectSplitter):
    """Gives each of the largest connected components of ``p > threshold`` a slot.

    Each pixel belongs to the cell of its nearest component (Euclidean on the coarse grid; pixels that touch at a corner
    are connected). A class has C = max_objects + 1 slots. Those of its objects, from the largest to the smallest, have
    the coarse logits inside of the object's cell and a floor outside: -20, or the class's smallest logit where that is
    lower. The last one, the rest, has the cells of all components that are too small or too many, or the whole image
    where none is kept. It is lowered by 128 after a clamp to 64, and so is a slot for which there is no object: no
    prompt comes from there, and `merge` raises the rest again, unrefined.

    `merge` takes the largest logit over the slots, so ``merge(split(coarse), K)`` has the logits of ``coarse``: exactly
    in the cells of the objects; and in the rest up to float32's rounding, 1e-5, and the clamp.

    The components are found on the CPU with scipy, for each image and class, so the logits wait for a copy from the
    device; which pixel belongs to which object carries no gradient. Inside of the cells gradient flows.

    Args:
        max_objects (int): Objects a class, at least 1. Each is a slot, whose decoding costs the same if it is empty.
            Defaults to 3.
        min_area (float): Smaller components are not refined; a fraction of the image, in [0, 1). Defaults to 0.0005.
        threshold (float): A pixel belongs to the mask where its probability exceeds it. Defaults to 0.5.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, max_objects: int = 3, min_area: float = 0.0005, threshold: float = 0.5):
        super().__init__()
        if max_objects < 1:
            raise ValueError(f'ConnectedComponents: max_objects is {max_objects}, expected at least 1')
        if not 0 <= min_area < 1:
            raise ValueError(f'ConnectedComponents: min_area is {min_area}, expected a fraction of the image in [0, 1)')
        if not 0 < threshold < 1:
            raise ValueError(
                f'ConnectedComponents: threshold is {threshold}, expected a probability strictly between 0 and 1'
            )
        self.max_objects = max_objects
        self.min_area = min_area
        self.threshold = threshold

    def split(self, coarse: SegOutput) -> SegOutput:
        """One slot an object, and one for the rest.

        Args:
            coarse (SegOutput): Logits (N, K, H, W), one slot a class.

        Returns:
            SegOutput: Logits (N, K * C, H, W), in float32 or wider.
        """
        # Half precision would lose the logits of the rest when they are lowered.
        logits = coarse.logits.to(torch.promote_types(coarse.logits.dtype, torch.float32))
        masks = (logits.detach().sigmoid() > self.threshold).flatten(0, 1).cpu().numpy()
        cells = torch.from_numpy(np.stack([self._cells(mask) for mask in masks])).to(logits.device)
        cells = cells.unflatten(0, logits.shape[:2])[:, :, None]  # (N, K, 1, H, W)
        slots = torch.arange(self.max_objects + 1, device=logits.device).view(1, 1, -1, 1, 1)
        own = cells == slots
        floor = logits.detach().amin(dim=(-2, -1), keepdim=True).clamp(max=FLOOR)[:, :, None]
        objects = torch.where(own, logits[:, :, None], floor)
        # Lower still outside of the rest, so that rounding never lifts it above a logit of the class.
        hidden = torch.where(own, logits[:, :, None].clamp(max=HIDDEN / 2), 2 * floor) - HIDDEN
        has_object = own.flatten(3).any(dim=-1) & (slots.flatten() < self.max_objects)
        return SegOutput(torch.where(has_object[..., None, None], objects, hidden).flatten(1, 2))

    def merge(self, refined: SegOutput, num_slots: int) -> SegOutput:
        """The largest logit over the objects of each class, beside what was not refined.

        Args:
            refined (SegOutput): Logits (N, K * C, H, W), with the result of `split` in slots that were not refined.
            num_slots (int): K.

        Returns:
            SegOutput: Logits (N, K, H, W); candidates (N, K, M, h, w) that are merged alike; qualities (N, K) and
            (N, K, M), the mean over the slots that hold an object, or over all where none does.
        """
        classes = (num_slots, self.max_objects + 1)
        logits = refined.logits.unflatten(1, classes)
        objects, rest = logits[:, :, :-1], logits[:, :, -1] + HIDDEN
        # Not lowered by `split`: there was an object, which was refined.
        has_object = objects.detach().flatten(3).amax(dim=-1) > -HIDDEN / 2  # (N, K, max_objects)
        merged = SegOutput(logits=torch.maximum(objects.amax(dim=2), rest))
        if refined.quality is not None:
            merged = merged._replace(quality=_mean(refined.quality.unflatten(1, classes), has_object))
        if refined.candidates is not None:
            merged = merged._replace(candidates=self._merge_candidates(refined.candidates, rest, has_object))
        if refined.candidate_quality is not None:
            quality = _mean(refined.candidate_quality.unflatten(1, classes), has_object[..., None])
            merged = merged._replace(candidate_quality=quality)
        return merged

    def _merge_candidates(self, candidates: Tensor, rest: Tensor, has_object: Tensor) -> Tensor:
        """Candidates (N, K, M, h, w) of (N, K * C, M, h, w), beside the rest (N, K, H, W)."""
        objects = candidates.unflatten(1, (rest.shape[1], -1))[:, :, :-1]
        objects = torch.where(has_object[..., None, None, None], objects, -HIDDEN).amax(dim=2)
        rest = F.interpolate(rest, size=objects.shape[-2:], mode='bilinear', align_corners=False)
        return torch.maximum(objects, rest[:, :, None])

    def _cells(self, mask: np.ndarray) -> np.ndarray:
        """The slot (H, W) that each pixel of a mask (H, W) belongs to."""
        labels, count = ndimage.label(mask, TOUCHING)
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        slots = np.full(count + 1, self.max_objects)
        largest = np.argsort(-areas, kind='stable')[: self.max_objects]
        largest = largest[areas[largest] >= max(1, self.min_area * mask.size)]
        slots[largest + 1] = np.arange(len(largest))
        if len(largest) == 0:
            return np.full(mask.shape, self.max_objects)
        nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        return slots[labels[tuple(nearest)]]


def _mean(quality: Tensor, has_object: Tensor) -> Tensor:
    """The mean of (N, K, C, ...) over the slots that hold an object, or over all objects' slots where none does."""
    quality = quality[:, :, :-1]
    weights = torch.where(has_object.any(dim=2, keepdim=True), has_object, True).to(quality.dtype)
    return (quality * weights).sum(dim=2) / weights.sum(dim=2)
