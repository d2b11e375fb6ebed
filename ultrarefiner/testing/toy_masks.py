"""Masks and images with a known answer, for contract checks."""

from __future__ import annotations

import torch
from torch import Tensor

from ..structures import Prompts


def ellipse_logits(
    num_images: int, num_slots: int, size: tuple[int, int] = (48, 40), background: float = 1e-7, inside: float = 4.0
) -> Tensor:
    """Soft ellipses, each slot of each image at a place and with radii of its own, away from the image's border.

    Each covers at least 5 % of the image and falls off over about a pixel.

    Args:
        num_images (int): N.
        num_slots (int): K.
        size (tuple[int, int]): (H, W) in pixels.
        background (float): Probability that no pixel falls below.
        inside (float): Logit that no pixel exceeds.

    Returns:
        Tensor: Logits (N, K, H, W).
    """
    height, width = size
    turn = torch.arange(num_images * num_slots).view(num_images, num_slots, 1, 1) * 2.4 + 0.7  # radians
    centre_x, centre_y = 0.5 + 0.17 * turn.cos(), 0.5 + 0.15 * turn.sin()
    radius_x, radius_y = 0.17 + 0.03 * (3 * turn).sin(), 0.17 - 0.03 * (2 * turn).cos()
    x = (torch.arange(width) + 0.5) / width
    y = ((torch.arange(height) + 0.5) / height)[:, None]
    radius = (((x - centre_x) / radius_x).square() + ((y - centre_y) / radius_y).square()).sqrt()
    pixels_inside = (1 - radius) * 0.17 * min(size)
    return (3 * pixels_inside).clamp(max=inside).maximum(torch.tensor(background).logit())


def degenerate_logits(size: tuple[int, int] = (24, 32), magnitude: float = 1e4) -> dict[str, Tensor]:
    """An empty, a full and a one-pixel mask, logits (1, 1, H, W) of plus or minus ``magnitude``."""
    empty = torch.full((1, 1, *size), -magnitude)
    pixel = empty.clone()
    pixel[..., size[0] // 3, size[1] // 4] = magnitude
    return {'empty': empty, 'full': -empty, 'one-pixel': pixel}


def random_images(sizes: list[tuple[int, int]], seed: int = 0) -> list[Tensor]:
    """One image (3, H_i, W_i) a size, RGB, uint8, from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in sizes]


def toy_prompts(num_images: int, num_slots: int, kinds: frozenset, mask_size: tuple[int, int] = (32, 32)) -> Prompts:
    """Prompts of the given kinds around `ellipse_logits`: two points and a padding point, a box, a mask; all valid."""
    logits = ellipse_logits(num_images, num_slots, mask_size)
    weights = logits.sigmoid()[..., None]
    y, x = torch.meshgrid(
        (torch.arange(mask_size[0]) + 0.5) / mask_size[0],
        (torch.arange(mask_size[1]) + 0.5) / mask_size[1],
        indexing='ij',
    )
    grid = torch.stack([x, y], dim=-1)
    centre = (weights * grid).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))
    low, high = (centre - 0.2).clamp(0, 1), (centre + 0.2).clamp(0, 1)
    labels = torch.tensor([1, 0, -1]).expand(num_images, num_slots, 3)
    return Prompts(
        points=torch.stack([centre, low, high], dim=2),
        point_labels=labels,
        boxes=torch.cat([low, high], dim=-1),
        masks=logits.clamp(-10, 10),
        valid=torch.ones(num_images, num_slots, dtype=torch.bool),
    ).keep(kinds)
