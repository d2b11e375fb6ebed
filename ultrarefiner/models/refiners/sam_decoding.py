"""SAM's mask decoder for a batch of images, and its post-processing.

`MaskDecoder.predict_masks` repeats every image by the number of prompts in the batch, so that B images with a prompt
each become B x B; here each slot has its own image features instead. The weights and the results are SAM's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder
from torch import Tensor

from ...interfaces import BaseCandidateSelection
from ...structures import SegOutput

# Of upscaled features that a CPU decodes at a time; at full size that is one slot.
CPU_CHUNK_BYTES = 8 * 2**20


def predict_candidates(
    decoder: MaskDecoder, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, single_mask: bool = False
) -> tuple[Tensor, Tensor]:
    """The candidate masks of each slot, as `MaskDecoder.forward` makes them.

    A GPU and an exported graph take all slots at once, a CPU as many as its cache holds, which is faster there.

    Args:
        decoder (MaskDecoder): SAM's.
        features (Tensor): (B, C, g, g) image features, one entry a slot.
        position (Tensor): (1, C, g, g) position encoding of the image embedding.
        sparse (Tensor): (B, T, C) tokens of points and boxes.
        dense (Tensor): (B, C, g, g) embedding of the mask prompt.
        single_mask (bool): Whether to make the one mask for several prompts (``multimask_output=False``, M = 1) in the
            place of the three for one ambiguous prompt (M = 3). Defaults to False.

    Returns:
        tuple[Tensor, Tensor]: Low-res logits (B, M, 4g, 4g) over the padded input, and predicted IoU (B, M).
    """
    if features.device.type != 'cpu' or torch.compiler.is_compiling():
        return _predict(decoder, features, position, sparse, dense, single_mask)
    upscaled_bytes = 2 * features[0].numel() * features.element_size()
    chunk = max(1, CPU_CHUNK_BYTES // upscaled_bytes)
    parts = zip(features.split(chunk), sparse.split(chunk), dense.split(chunk))
    low_res, quality = zip(*(_predict(decoder, part[0], position, *part[1:], single_mask) for part in parts))
    return torch.cat(low_res), torch.cat(quality)


def _predict(
    decoder: MaskDecoder, features: Tensor, position: Tensor, sparse: Tensor, dense: Tensor, single_mask: bool
) -> tuple[Tensor, Tensor]:
    count = features.shape[0]
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(count, -1, -1), sparse], dim=1)
    source = features + dense

    tokens, cells = decoder.transformer(source, position.expand_as(source), tokens)
    iou_token, mask_tokens = tokens[:, 0], tokens[:, 1 : 1 + decoder.num_mask_tokens]

    upscaled = decoder.output_upscaling(cells.transpose(1, 2).reshape(source.shape))  # (B, C / 8, 4g, 4g)
    wanted = slice(0, 1) if single_mask else slice(1, None)  # token 0 makes the single mask
    heads = list(enumerate(decoder.output_hypernetworks_mlps))[wanted]
    weights = torch.stack([head(mask_tokens[:, i]) for i, head in heads], dim=1)  # (B, M, C / 8)
    low_res = (weights @ upscaled.flatten(2)).unflatten(-1, upscaled.shape[-2:])
    return low_res, decoder.iou_prediction_head(iou_token)[:, wanted]


def to_image_size(low_res: Tensor, content: Tensor, input_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """From low-res logits to the image, as SAM does it: enlarge to the input, cut the padding, resize.

    Each step is linear along each axis, so that two small matrices do all three: no mask of the input's size is made on
    the way, and the gradient, unlike that of an interpolation, is the same in every run on a GPU.

    Args:
        low_res (Tensor): (N, K, h, w) logits over the padded input.
        content (Tensor): (N, 2) integers, (height, width) in pixels of the input that each image covers.
        input_size (tuple[int, int]): (height, width) in pixels of SAM's input.
        size (tuple[int, int]): (H, W) in pixels wanted.

    Returns:
        Tensor: (N, K, H, W) logits over the image, at least in float32.
    """
    low_res = low_res.to(torch.promote_types(low_res.dtype, torch.float32))
    images = []
    for logits, covered in zip(low_res.split(1), content.tolist()):
        steps = zip(logits.shape[-2:], input_size, covered, size)
        down, across = (resize_matrix(*lengths, logits) for lengths in steps)
        with torch.autocast(logits.device.type, enabled=False):
            images.append(down.T @ logits @ across)
    return torch.cat(images)


def resize_matrix(length: int, whole: int, part: int, wanted: int, like: Tensor) -> Tensor:
    """What a row of `length` has to be multiplied by to be enlarged to `whole`, cut to `part` and resized to `wanted`.

    Args:
        length (int): Pixels of the row.
        whole (int): Pixels of the padded input.
        part (int): Pixels of it that the image covers.
        wanted (int): Pixels wanted.
        like (Tensor): For the type and the device.

    Returns:
        Tensor: (length, wanted).
    """
    rows = torch.eye(length, dtype=like.dtype, device=like.device)[None]
    enlarged = F.interpolate(rows, whole, mode='linear', align_corners=False)[..., :part]
    return F.interpolate(enlarged, wanted, mode='linear', align_corners=False)[0]


def select_candidate(
    selection: BaseCandidateSelection,
    low_res: Tensor,
    quality: Tensor,
    crop: Callable[[Tensor], Tensor],
    enlarge: Callable[[Tensor], Tensor],
) -> SegOutput:
    """Make one mask of each slot's candidates, and bring all of them to the image.

    Args:
        selection (BaseCandidateSelection): Judges the candidates over the image, and selects among the low-res logits.
        low_res (Tensor): (N, K, M, h, w) logits over the padded input.
        quality (Tensor): (N, K, M) predicted IoU.
        crop (Callable[[Tensor], Tensor]): Resamples (N, A, h, w) so that they cover the image, at the same size.
        enlarge (Callable[[Tensor], Tensor]): Brings (N, K, h, w) to the image at the size wanted, (N, K, H, W).

    Returns:
        SegOutput: ``logits`` (N, K, H, W), ``quality`` (N, K), ``candidates`` (N, K, M, h, w) over the whole image and
        ``candidate_quality`` (N, K, M).
    """
    per_slot = quality.shape[:2]
    candidates = crop(low_res.flatten(1, 2)).unflatten(1, (per_slot[1], -1))
    judged = selection.judge(candidates, quality)
    mask, mask_quality = selection(low_res.flatten(0, 1), judged.flatten(0, 1))
    return SegOutput(
        logits=enlarge(mask.unflatten(0, per_slot)),
        quality=mask_quality.unflatten(0, per_slot),
        candidates=candidates,
        candidate_quality=quality,
    )
