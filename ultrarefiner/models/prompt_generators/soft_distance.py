"""A distance to a soft mask's border through which gradient flows, and the pixel where it is largest."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .moments import centroid
from .validity import weights_or_uniform


def soft_distance(mask: Tensor) -> Tensor:
    """The sum of the erosions of a soft mask by squares of growing radius; the outside of the image counts as 0.

    Args:
        mask (Tensor): (N, K, H, W) in [0, 1].

    Returns:
        Tensor: (N, K, H, W), in steps of ``max(H, W) // 64`` pixels (1 pixel below 128).
    """
    step = max(1, max(mask.shape[-2:]) // 64)
    return sum_of_erosions(mask, step, min(mask.shape[-2:]) // (2 * step))


def sum_of_erosions(mask: Tensor, step: int, count: int, border: float = 0.0) -> Tensor:
    """The mask plus its grey-value erosions by squares of radius ``step``, ``2 * step``, ... ``count * step``.

    With a step of 1 and a binary mask it is the chessboard distance from each pixel to the nearest pixel with value 0,
    up to ``count + 1``.

    Args:
        mask (Tensor): (N, K, H, W) in [0, 1].
        step (int): In pixels.
        count (int): How many erosions.
        border (float): The value of what lies outside of the image. Defaults to 0.0.

    Returns:
        Tensor: (N, K, H, W) in [0, count + 1].
    """
    size = 2 * step + 1
    total = level = mask
    for _ in range(count):
        padded = -F.pad(level, (step,) * 4, value=border)
        # By rows, then by columns: the same as by squares, and faster.
        level = -F.max_pool2d(F.max_pool2d(padded, (1, size), stride=1), (size, 1), stride=1)
        total = total + level
    return total


def centre_of_depth(depth: Tensor, probability: Tensor, valid: Tensor, threshold: float, power: float) -> Tensor:
    """The centroid of the depth raised to a power; the deepest pixel where the centroid is no pixel of the mask.

    Args:
        depth (Tensor): (N, K, H, W), not negative, positive somewhere in each valid slot: `soft_distance` of the mask.
        probability (Tensor): (N, K, H, W) in [0, 1].
        valid (Tensor): (N, K) bool.
        threshold (float): A pixel belongs to the mask where its probability exceeds it.
        power (float): At least 1.

    Returns:
        Tensor: (N, K, 2), normalised (x, y); (0.5, 0.5) in the slots that are not valid.
    """
    soft = centroid(weights_or_uniform(powered(depth, power), valid))
    inside = value_at(probability, soft) > threshold
    return soft_where(inside | ~valid, soft, deepest_pixel(depth))


def powered(depth: Tensor, power: float) -> Tensor:
    """``(depth / largest)^power``, (N, K, H, W); the largest depth of a slot only keeps the power in range."""
    largest = depth.detach().amax(dim=(-2, -1), keepdim=True)
    return (depth / torch.where(largest > 0, largest, 1)) ** power


def deepest_pixel(depth: Tensor) -> Tensor:
    """The centre (N, K, 2), normalised (x, y), of the pixel with the largest value of (N, K, H, W); no gradient."""
    height, width = depth.shape[-2:]
    index = depth.flatten(2).argmax(dim=-1)
    x = (index % width + 0.5) / width
    y = (index.div(width, rounding_mode='floor') + 0.5) / height
    return torch.stack([x, y], dim=-1).to(depth.dtype)


def value_at(values: Tensor, points: Tensor) -> Tensor:
    """The values (N, K) of (N, K, H, W) at the pixels that hold the points (N, K, 2), normalised (x, y).

    No gradient reaches the points.
    """
    height, width = values.shape[-2:]
    column = (points[..., 0] * width).long().clamp(0, width - 1)
    row = (points[..., 1] * height).long().clamp(0, height - 1)
    return values.flatten(2).gather(-1, (row * width + column)[..., None])[..., 0]


def soft_where(kept: Tensor, soft: Tensor, hard: Tensor) -> Tensor:
    """The soft points where they are kept, elsewhere the hard ones with the gradient of the soft (straight-through).

    Args:
        kept (Tensor): (N, K) bool.
        soft (Tensor): (N, K, 2), normalised (x, y).
        hard (Tensor): (N, K, 2), normalised (x, y), without gradient.
    """
    return torch.where(kept[..., None], soft, hard + (soft - soft.detach()))
