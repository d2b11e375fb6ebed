"""SegOutput, Stages and StageTarget: what losses, metrics and pictures read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from .prompts import Prompts

IGNORE_LABEL = 255


class SegOutput(NamedTuple):
    """The result of one stage.

    Letters: N images, K slots, M candidate masks, H, W and h, w sizes in pixels that cover the whole image.

    Attributes:
        logits: (N, K, H, W), one-vs-rest: ``sigmoid(logits[n, k])`` is the probability of foreground class k.
            Background has no channel.
        quality: (N, K) predicted IoU of ``logits``, or None. A regression: it may leave [0, 1].
        candidates: (N, K, M, h, w) logits before selection, or None.
        candidate_quality: (N, K, M) predicted IoU of the candidates, or None.
    """

    logits: Tensor
    quality: Tensor | None = None
    candidates: Tensor | None = None
    candidate_quality: Tensor | None = None

    @property
    def probabilities(self) -> Tensor:
        """Tensor: (N, K, H, W) in [0, 1]."""
        return self.logits.sigmoid()

    def select(self, index: slice) -> SegOutput:
        """Select images (the first dimension) by a slice."""
        return SegOutput(self.logits[index], *(None if value is None else value[index] for value in self[1:]))


class Stages(NamedTuple):
    """Everything one pass through the model made.

    Attributes:
        coarse: The coarse segmentor's output.
        prompts: The prompts made from it, or None in phase 1.
        refined: The refiner's output, with the coarse logits where ``prompts.valid`` is False; None in phase 1.
    """

    coarse: SegOutput
    prompts: Prompts | None = None
    refined: SegOutput | None = None


class StageTarget:
    """The ground truth of a batch, at any size a loss asks for.

    Args:
        labels (list[Tensor]): One (H_i, W_i) integer map an image at its own size: 0 background, k + 1 for foreground
            class k, 255 for pixels that do not count.
        num_slots (int): K.

    Raises:
        ValueError: If a map holds a label that is neither background, a class, nor 255.
    """

    def __init__(self, labels: list[Tensor], num_slots: int):
        for index, label in enumerate(labels):
            known = (label >= 0) & (label <= num_slots) | (label == IGNORE_LABEL)
            if not bool(known.all()):
                raise ValueError(
                    f'ground truth {index} of the batch holds the labels {label.unique().tolist()}, expected '
                    f'0 to {num_slots} and {IGNORE_LABEL}: check num_slots and the label map of the dataset'
                )
        self.labels = labels
        self.num_slots = num_slots
        self._cache: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self._distances: dict[tuple[int, int], Tensor] = {}

    def at(self, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Resample to a size with nearest neighbour.

        Args:
            size (Sequence[int]): (H, W) in pixels, covering the whole image.

        Returns:
            tuple[Tensor, Tensor]: The mask (N, K, H, W) float in {0, 1}, and the weight (N, 1, H, W) float in {0, 1},
            0 where a pixel does not count; it is a view of a single 1 where all do (see `all_count`).
        """
        size = size[0], size[1]  # A list or a torch.Size would not do as a key.
        if size not in self._cache:
            resized = torch.cat([_nearest(label[None, None], size) for label in self.labels])
            classes = torch.arange(1, self.num_slots + 1, device=resized.device, dtype=resized.dtype).view(1, -1, 1, 1)
            ignored = resized == IGNORE_LABEL
            weight = (~ignored).float() if ignored.any() else torch.ones(1, device=resized.device).expand_as(ignored)
            self._cache[size] = (resized == classes).float(), weight
        return self._cache[size]

    def signed_distance(self, size: Sequence[int]) -> Tensor:
        """How far each pixel is from the border of each class, negative inside; computed on the CPU, once a size.

        The border runs between the pixels: the first ones on either side are half a pixel away. A class that is absent
        is a diagonal away from everywhere, and so is the outside of one that fills the image. Pixels that do not count
        are outside of every class.

        Args:
            size (Sequence[int]): (H, W) in pixels, covering the whole image.

        Returns:
            Tensor: (N, K, H, W) float in [-1, 1], in diagonals of the image.
        """
        size = size[0], size[1]  # A list or a torch.Size would not do as a key.
        if size not in self._distances:
            mask, _ = self.at(size)
            inside = mask.flatten(0, 1).cpu().numpy() > 0
            maps = np.stack([_signed_distance(part) for part in inside]) / math.hypot(*size)
            self._distances[size] = torch.from_numpy(maps).to(mask).view_as(mask)
        return self._distances[size]


def all_count(weight: Tensor) -> bool:
    """Whether `StageTarget.at` found no pixel that does not count, known without looking at the values."""
    return set(weight.stride()) == {0}


def _nearest(label: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, 1, h, w) integer labels to (1, 1, H, W)."""
    if label.shape[-2:] == size:
        return label
    return F.interpolate(label.float(), size=size, mode='nearest-exact').to(label.dtype)


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    if inside.all() or not inside.any():
        return np.where(inside, -1.0, 1.0) * math.hypot(*inside.shape)
    return distance_transform_edt(~inside) - distance_transform_edt(inside) + np.where(inside, 0.5, -0.5)
