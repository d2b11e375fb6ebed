"""Test-time augmentation: several views of an image, and the way back from each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

FLIPS = {'horizontal': -1, 'vertical': -2}


@dataclass(frozen=True)
class View:
    """One version of an image.

    Args:
        flips (tuple[str, ...]): Some of 'horizontal' and 'vertical'.
        scale (float): See `Augmentation`.
    """

    flips: tuple[str, ...] = ()
    scale: float = 1.0

    def apply(self, maps: Tensor) -> Tensor:
        """Make the view of an image, or of a map that lies over it.

        Args:
            maps (Tensor): (C, H, W), any type.

        Returns:
            Tensor: (C, h, w).
        """
        return F.pad(maps, self._margins(maps.shape[-2:])).flip(self._axes())

    def undo(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Bring a result back, without resampling; 0 where the view did not see the image.

        Args:
            maps (Tensor): (K, h, w), over the view.
            size (tuple[int, int]): (H, W) in pixels of the image.

        Returns:
            Tensor: (K, H, W).
        """
        return F.pad(maps.flip(self._axes()), [-margin for margin in self._margins(size)])

    def seen(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Where the view saw an image of (H, W) pixels: (1, H, W) float, 0 or 1."""
        left, right, top, bottom = self._margins(size)
        return self.undo(torch.ones(1, size[0] + top + bottom, size[1] + left + right, device=device), size)

    def _axes(self) -> list[int]:
        return [FLIPS[flip] for flip in self.flips]

    def _margins(self, size: Sequence[int]) -> list[int]:
        """Columns and rows added (left, right, top, bottom), negative where they are cut."""
        margins = []
        for length in reversed(size):
            added = max(round(length / self.scale), 1) - length
            margins += [added // 2, added - added // 2]
        return margins


@dataclass(frozen=True)
class Augmentation:
    """Which views of an image are averaged, besides the image as it is: every scale with every set of flips.

    The networks take inputs of a fixed size, so a scale does not make their input larger; it changes how much of it the
    image fills. Below 1 the image covers this share of each side, in the middle, and the rest is black. Above 1 the
    middle of the image, 1 / scale of each side, fills the frame; what lies outside of it is not seen and takes no part
    in the average there, and an object that crosses its border is seen in part only. Flips and margins are undone
    exactly, without resampling.

    Args:
        flips (tuple[str, ...]): Some of 'horizontal' and 'vertical'; both make four views. Ultrasound is not symmetric
            from top to bottom: a vertical flip shows a network what it never saw. Defaults to none.
        scales (tuple[float, ...]): Besides 1, from 0.25 to 4. Defaults to none.

    Raises:
        ValueError: If a flip or a scale is none of these.
    """

    flips: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ('flips', 'scales'):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, (str, int, float)) else tuple(value))
        if not set(self.flips) <= FLIPS.keys():
            raise ValueError(f'Augmentation.flips is {self.flips}, expected some of {tuple(FLIPS)}')
        if not all(0.25 <= scale <= 4 for scale in self.scales):
            raise ValueError(f'Augmentation.scales is {self.scales}, expected numbers from 0.25 to 4')

    def views(self) -> list[View]:
        """Every view, the image as it is first."""
        # Twice the same flip is none, and twice the same view would count double.
        flips = list(dict.fromkeys(self.flips))
        sets = [chosen for count in range(len(flips) + 1) for chosen in itertools.combinations(flips, count)]
        scales = dict.fromkeys((1.0, *self.scales))
        return [View(chosen, scale) for scale, chosen in itertools.product(scales, sets)]
