"""Windows around objects, in whole pixels of the image, and how maps come back from them.

Letters: N images, K slots; a window is (x0, y0, x1, y1) at the outer edges of its pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...structures import crop_maps
from ...utils.pixel_centres import pixel_centres


def object_windows(boxes: Tensor, valid: Tensor, image_sizes: Tensor, margin: float, min_size: int) -> Tensor:
    """A square window around each box: shifted into the image where it leaves it, cut where the image is too small.

    Args:
        boxes (Tensor): (N, K, 4), normalised (x0, y0, x1, y1).
        valid (Tensor): (N, K) bool; the others get the whole image.
        image_sizes (Tensor): (N, 2) integers, (height, width) in pixels.
        margin (float): What is added on every side, as a share of the box's longer side.
        min_size (int): Smallest side in pixels.

    Returns:
        Tensor: (N, K, 4) integers, pixels of each image; no gradient.
    """
    image = image_sizes.flip(-1)[:, None].expand(*valid.shape, 2)  # (N, K, 2), (width, height)
    low, high = (boxes.detach().float().unflatten(-1, (2, 2)) * image[:, :, None]).unbind(dim=2)
    longer = (high - low).amax(dim=-1, keepdim=True)
    side = torch.minimum((longer * (1 + 2 * margin)).clamp(min=min_size).ceil(), image)
    start = ((low + high - side) / 2).round()
    start = torch.minimum(start.clamp(min=0), image - side)
    whole = torch.cat([torch.zeros_like(image), image], dim=-1)
    return torch.where(valid[..., None], torch.cat([start, start + side], dim=-1).long(), whole)


def paste_maps(maps: Tensor, onto: Tensor, windows: Tensor, image_sizes: Tensor, feather: float) -> Tensor:
    """Put maps of windows back into maps of the whole image: inside of a window its own map, outside what was there.

    The change is linear over a rim inside of the window, where that does not end at the image's border.

    Args:
        maps (Tensor): (N, K, h, w), over the windows.
        onto (Tensor): (N, K, H, W), over the whole image.
        windows (Tensor): (N, K, 4) integers, pixels.
        image_sizes (Tensor): (N, 2) integers, (height, width) in pixels.
        feather (float): Width of the rim, as a share of the window's longer side.

    Returns:
        Tensor: (N, K, H, W).
    """
    image = image_sizes.flip(-1)[:, None].to(torch.float32)  # (N, 1, 2), (width, height)
    low, high = windows.unflatten(-1, (2, 2)).unbind(dim=2)  # (N, K, 2), (x, y)
    extent = high - low
    image_in_window = torch.cat([-low / extent, (image - low) / extent], dim=-1)
    pasted = crop_maps(maps, image_in_window, onto.shape[-2:])

    rim = (feather * extent.amax(dim=-1)).clamp(min=1e-6)[..., None]  # pixels of the image
    weights = []
    for axis, length in ((1, onto.shape[-2]), (0, onto.shape[-1])):
        position = pixel_centres(length, image) * image[..., axis, None]  # (N, 1, L), pixels of the image
        first, last = low[..., axis, None], high[..., axis, None]
        after_first = torch.where(first > 0, position - first, torch.inf)
        before_last = torch.where(last < image[..., axis, None], last - position, torch.inf)
        weights.append((torch.minimum(after_first, before_last) / rim).clamp(0, 1))
    return torch.lerp(onto.to(pasted.dtype), pasted, weights[0][..., :, None] * weights[1][..., None, :])
