"""From normalised prompts to SAM's tokens. The only place that knows SAM's pixel frame.

Letters: N images, K slots, B = N * K, C channels, g cells a side of the image embedding, S pixels a side of the input,
m = 4 g pixels a side of the low-res logits. The image covers ``content`` pixels at the top left of the S x S input.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn

from ...structures import Prompts
from ...structures.prompts import KINDS
from ...utils.pixel_centres import pixel_centres

# What a mask prompt says about the padding: certain background, on the method's scale of -10 to 10.
PADDING_LOGIT = -10.0


def embed_prompts(encoder: PromptEncoder, prompts: Prompts, content: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Embed the prompts of all slots; a kind that is absent gets SAM's own default.

    Args:
        encoder (PromptEncoder): SAM's.
        prompts (Prompts): Normalised; of N images and K slots.
        content (Tensor): (N, 2) integers, (height, width) in pixels of the input that each image covers.
        slots (int): K.

    Returns:
        tuple[Tensor, Tensor]: The sparse embeddings (B, T, C) of T tokens a slot, and the dense ones (B, C, g, g).
    """
    points = boxes = masks = None
    # Coordinates keep full precision: a half-precision position encoding is off by pixels.
    with torch.autocast(content.device.type, enabled=False):
        if prompts.points is not None:
            labels = prompts.point_labels.flatten(0, 1)
            points = (to_pixel_index(prompts.points.float(), content).flatten(0, 1), labels)
        if prompts.boxes is not None:
            corners = prompts.boxes.float().unflatten(-1, (2, 2))
            boxes = to_pixel_index(corners, content).flatten(0, 1).flatten(1)
        if prompts.masks is not None:
            masks = pad_masks(prompts.masks.float(), content, encoder).flatten(0, 1)[:, None]
        sparse, dense = encoder(points, boxes, masks)
    count = content.shape[0] * slots
    return sparse.expand(count, -1, -1), dense.expand(count, -1, -1, -1)


def nothing_from_absent(encoder: nn.Module, prompts: Prompts) -> Tensor | float:
    """Zero, made of the weights of the prompt kinds that this batch lacks although they train.

    A generator that leaves out a kind now and then would else stall distributed training, which waits for every weight
    in every step.

    Args:
        encoder (nn.Module): The prompt encoder.
        prompts (Prompts): The prompts of the batch.
    """
    if not torch.is_grad_enabled() or prompts.kinds == frozenset(KINDS):
        return 0.0
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    return 0.0 * sum(weight.sum() for weight in weights) if weights else 0.0


def embed_positions(encoder: PromptEncoder) -> Tensor:
    """The position encoding (1, C, g, g) of the cells of the image embedding, at full precision as in `embed_prompts`.

    Args:
        encoder (PromptEncoder): SAM's.
    """
    with torch.autocast(encoder.no_mask_embed.weight.device.type, enabled=False):
        return encoder.get_dense_pe()


def to_pixel_index(coordinates: Tensor, content: Tensor) -> Tensor:
    """Normalised (x, y) to pixel indices in SAM's input: ``u * content - 0.5``, as SAM's encoder adds the half itself.

    Args:
        coordinates (Tensor): (N, K, P, 2), normalised.
        content (Tensor): (N, 2) integers, (height, width) in pixels.

    Returns:
        Tensor: (N, K, P, 2), (x, y) in pixels of the input; a whole number is the centre of a pixel.
    """
    return coordinates * content.flip(-1).to(coordinates)[:, None, None] - 0.5


def pad_masks(masks: Tensor, content: Tensor, encoder: PromptEncoder) -> Tensor:
    """Put mask prompts, which cover the image, into SAM's mask frame, which covers the padded input.

    Args:
        masks (Tensor): (N, K, h, w) logits.
        content (Tensor): (N, 2) integers, (height, width) in pixels.
        encoder (PromptEncoder): SAM's, for its sizes.

    Returns:
        Tensor: (N, K, m, m) logits; `PADDING_LOGIT` where SAM's input is padding.
    """
    covered = covered_share(content, encoder)
    positions = [pixel_centres(size, masks) for size in encoder.mask_input_size]
    y, x = (position / covered[:, i, None] for i, position in enumerate(positions))
    padded = sample(masks, y, x)
    inside = (y <= 1)[:, None, :, None] & (x <= 1)[:, None, None, :]
    return padded.masked_fill(~inside, PADDING_LOGIT)


def crop_masks(masks: Tensor, content: Tensor, encoder: PromptEncoder) -> Tensor:
    """Resample low-res logits, which cover the padded input, so that they cover the image: `pad_masks` backwards.

    Args:
        masks (Tensor): (N, A, m, m) logits, for any A.
        content (Tensor): (N, 2) integers, (height, width) in pixels.
        encoder (PromptEncoder): SAM's, for its sizes.

    Returns:
        Tensor: (N, A, m, m) logits.
    """
    covered = covered_share(content, encoder)
    y, x = (pixel_centres(size, masks) * covered[:, i, None] for i, size in enumerate(masks.shape[-2:]))
    return sample(masks, y, x)


def covered_share(content: Tensor, encoder: PromptEncoder) -> Tensor:
    """(N, 2) float in (0, 1]: the share of SAM's input that the image covers, (vertical, horizontal)."""
    return content / content.new_tensor(encoder.input_image_size)


def sample(masks: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample bilinearly, with the border going on outside, in the precision of the positions.

    Args:
        masks (Tensor): (N, A, h, w).
        y (Tensor): (N, H) normalised, float32 or float64.
        x (Tensor): (N, W) normalised, of the same type.

    Returns:
        Tensor: (N, A, H, W), of the positions' type.
    """
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(masks.to(grid), 2 * grid - 1, mode='bilinear', padding_mode='border', align_corners=False)
