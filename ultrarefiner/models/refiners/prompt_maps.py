"""A coarse mask and prompts as maps, for a network that reads them as an image; smooth, so that gradient flows."""

from __future__ import annotations

import torch
from torch import Tensor

from ...structures import Prompts
from ...utils.pixel_centres import pixel_centres
from ...utils.resize_logits import resize_logits

POINT_SIGMA = 0.02  # of the image's side: radius of a point's Gaussian
EDGE_WIDTH = 0.01  # of the image's side: a box falls off from 0.73 to 0.27 over twice this width
LOGIT_LIMIT = 10.0
MAP_CHANNELS = 5  # coarse logits and probability, points, boxes, masks


def stage_maps(coarse: Tensor, prompts: Prompts, size: tuple[int, int]) -> Tensor:
    """What is known of each slot: coarse logits and probability, and a map of each prompt kind, 0 where it is absent.

    Args:
        coarse (Tensor): (N, K, h, w) logits.
        prompts (Prompts): Normalised coordinates.
        size (tuple[int, int]): (H, W) in pixels.

    Returns:
        Tensor: (N, K, 5, H, W), in [-1, 1] but for points that meet.
    """
    logits = resize_logits(coarse.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT), size)
    points = boxes = masks = torch.zeros_like(logits)
    if prompts.points is not None:
        points = point_maps(prompts.points.float(), prompts.point_labels, size)
    if prompts.boxes is not None:
        boxes = box_maps(prompts.boxes.float(), size)
    if prompts.masks is not None:
        masks = resize_logits(prompts.masks.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT), size) / LOGIT_LIMIT
    return torch.stack([logits / LOGIT_LIMIT, logits.sigmoid(), points, boxes, masks], dim=2)


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
