"""Points and boxes drawn as maps, for a network that reads prompts as an image; smooth, so that gradient flows."""

from __future__ import annotations

import torch
from torch import Tensor

from ...utils.pixel_centres import pixel_centres

POINT_SIGMA = 0.02  # of the image's side: radius of a point's Gaussian
EDGE_WIDTH = 0.01  # of the image's side: a box falls off from 0.73 to 0.27 over twice this width


def point_maps(points: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
    """A Gaussian of height 1 at every point of the object, of height -1 at every point of the background; added up.

    Args:
        points (Tensor): (N, K, P, 2), normalised (x, y).
        labels (Tensor): (N, K, P) integers: 1 object, 0 background, -1 padding, which draws nothing.
        size (tuple[int, int]): (H, W) in pixels.

    Returns:
        Tensor: (N, K, H, W).
    """
    sign = (labels == 1).to(points.dtype) - (labels == 0).to(points.dtype)
    x, y = points.unbind(dim=-1)
    rows, columns = (
        torch.exp(-0.5 * ((pixel_centres(length, points) - centre[..., None]) / POINT_SIGMA).square())
        for length, centre in zip(size, (y, x))
    )  # (N, K, P, H) and (N, K, P, W)
    return torch.einsum('nkp,nkph,nkpw->nkhw', sign.to(rows.dtype), rows, columns)


def box_maps(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """1 inside of a box and 0 outside, with soft edges: 0.5 on them.

    Args:
        boxes (Tensor): (N, K, 4), normalised (x0, y0, x1, y1).
        size (tuple[int, int]): (H, W) in pixels.

    Returns:
        Tensor: (N, K, H, W) in [0, 1].
    """
    x0, y0, x1, y1 = boxes[..., None].unbind(dim=-2)
    rows, columns = (
        torch.sigmoid((centres - low) / EDGE_WIDTH) * torch.sigmoid((high - centres) / EDGE_WIDTH)
        for centres, low, high in ((pixel_centres(size[0], boxes), y0, y1), (pixel_centres(size[1], boxes), x0, x1))
    )  # (N, K, H) and (N, K, W)
    return rows[..., :, None] * columns[..., None, :]
