"""Prompts: what a prompt generator hands to a refiner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ('points', 'boxes', 'masks')


@dataclass(frozen=True)
class Prompts:
    """Points, boxes and masks for N images with K slots each.

    Letters: N images, K slots (objects or classes refined per image; 1 for binary), P points a slot, h, w any size.

    Frame: coordinates are *normalised* to the image's outer edges, in (x, y) order with x right and y down; 0 and 1
    are the edges, and the centre of pixel i of L lies at (i + 0.5) / L. They survive any resize. Only a refiner knows
    a pixel grid.

    Args:
        points (Tensor, optional): (N, K, P, 2), normalised (x, y).
        point_labels (Tensor, optional): (N, K, P) integers: 1 object, 0 background, -1 padding (ignored).
            Required with ``points``.
        boxes (Tensor, optional): (N, K, 4), normalised (x0, y0, x1, y1).
        masks (Tensor, optional): (N, K, h, w), logits over the whole image.
        valid (Tensor, optional): (N, K) bool; False where there is nothing to refine, and the coarse result is kept.

    Raises:
        ValueError: If a shape is wrong, (N, K) differ between the kinds, or points come without labels.
    """

    points: Tensor | None = None
    point_labels: Tensor | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None
    valid: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.points is None) != (self.point_labels is None):
            raise ValueError('Prompts: points and point_labels come together; got only one of them')
        expected = dict(
            points=('(N, K, P, 2)', 4, 2),
            point_labels=('(N, K, P)', 3, None),
            boxes=('(N, K, 4)', 3, 4),
            masks=('(N, K, h, w)', 4, None),
            valid=('(N, K)', 2, None),
        )
        leading = {}
        for name, (shape, ndim, last) in expected.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value.ndim != ndim or (last is not None and value.shape[-1] != last):
                raise ValueError(f'Prompts.{name} has shape {tuple(value.shape)}, expected {shape}')
            leading[name] = tuple(value.shape[:2])
        # No set: in a graph that is exported a size may be a symbol, which cannot be hashed.
        if any(shape != next(iter(leading.values())) for shape in leading.values()):
            raise ValueError(f'Prompts: (N, K) differ between the kinds: {leading}')
        points, labels = self.points, self.point_labels
        if points is not None and labels is not None and points.shape[:3] != labels.shape:
            raise ValueError(
                f'Prompts: points {tuple(points.shape)} and point_labels {tuple(labels.shape)} disagree on (N, K, P)'
            )

    @property
    def kinds(self) -> frozenset[str]:
        """frozenset[str]: Which of 'points', 'boxes', 'masks' are present."""
        return frozenset(kind for kind in KINDS if getattr(self, kind) is not None)

    def __or__(self, other: Prompts) -> Prompts:
        """Merge the prompts of two generators for the same slots.

        Points are put one after the other; a slot is valid where both say so.

        Raises:
            ValueError: If both bring boxes or both bring masks: a slot takes one of each.
        """
        merged = {}
        for kind in ('boxes', 'masks'):
            ours, theirs = getattr(self, kind), getattr(other, kind)
            if ours is not None and theirs is not None:
                raise ValueError(f'Prompts: both sides bring {kind}, a slot takes one; drop one of the generators')
            merged[kind] = theirs if ours is None else ours
        for kind, dim in (('points', 2), ('point_labels', 2)):
            parts = [value for value in (getattr(self, kind), getattr(other, kind)) if value is not None]
            merged[kind] = torch.cat(parts, dim=dim) if parts else None
        flags = [value for value in (self.valid, other.valid) if value is not None]
        merged['valid'] = None if not flags else flags[0] if len(flags) == 1 else flags[0] & flags[1]
        return Prompts(**merged)

    def __getitem__(self, index: slice) -> Prompts:
        """Select images (the first dimension) by a slice."""
        return self._map(lambda value: value[index])

    def detach(self) -> Prompts:
        """Cut the gradient."""
        return self._map(Tensor.detach)

    def to(self, device: torch.device | str) -> Prompts:
        """Move to a device."""
        return self._map(lambda value: value.to(device))

    def crop(self, windows: Tensor, mask_size: tuple[int, int] | None = None) -> Prompts:
        """Carry the prompts into a window of the image: its edges become 0 and 1. Gradient flows through the prompts.

        Points and boxes may then lie outside of [0, 1]; a mask that does not cover the window goes on with its border.

        Args:
            windows (Tensor): (N, K, 4), normalised (x0, y0, x1, y1) with x0 < x1 and y0 < y1, one window a slot.
            mask_size (tuple[int, int], optional): (h, w) in pixels of the cropped masks, which are sampled bilinearly.
                Defaults to the size that they have.
        """
        low, extent = windows[..., :2], windows[..., 2:] - windows[..., :2]  # (N, K, 2), (x, y)
        cropped = {}
        if self.points is not None:
            cropped['points'] = (self.points - low[:, :, None]) / extent[:, :, None]
        if self.boxes is not None:
            corners = self.boxes.unflatten(-1, (2, 2))
            cropped['boxes'] = ((corners - low[:, :, None]) / extent[:, :, None]).flatten(2)
        if self.masks is not None:
            height, width = mask_size or self.masks.shape[-2:]
            cropped['masks'] = crop_maps(self.masks, windows, (height, width))
        return replace(self, **cropped)

    def keep(self, kinds: frozenset[str]) -> Prompts:
        """Drop the kinds that are not in ``kinds``."""
        dropped = {kind: None for kind in KINDS if kind not in kinds}
        if 'points' in dropped:
            dropped['point_labels'] = None
        return replace(self, **dropped)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Prompts:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Prompts(**{name: None if value is None else function(value) for name, value in values.items()})


def crop_maps(maps: Tensor, windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a window of each map bilinearly, with the border going on outside of the map.

    Args:
        maps (Tensor): (N, K, h, w), over the whole image.
        windows (Tensor): (N, K, 4), normalised (x0, y0, x1, y1); may reach outside of the image.
        size (tuple[int, int]): (H, W) in pixels of the result.

    Returns:
        Tensor: (N, K, H, W), over the window; float32 or wider, as the positions need it.
    """
    windows = windows.to(torch.promote_types(windows.dtype, torch.float32))
    steps = [(torch.arange(length, device=maps.device, dtype=windows.dtype) + 0.5) / length for length in size]
    x0, y0, x1, y1 = windows.flatten(0, 1)[..., None].unbind(dim=1)  # (N K, 1) each
    y, x = y0 + (y1 - y0) * steps[0], x0 + (x1 - x0) * steps[1]
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    flat = maps.flatten(0, 1)[:, None].to(grid.dtype)
    sampled = F.grid_sample(flat, 2 * grid - 1, mode='bilinear', padding_mode='border', align_corners=False)
    return sampled[:, 0].unflatten(0, maps.shape[:2])
