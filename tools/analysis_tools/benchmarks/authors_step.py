"""The training step of the method's authors, restated from what their scripts do: the baseline of phases 2 and 3.

Their step runs the frozen image encoder every time, makes prompts of the soft mask at the size of SAM's input, decodes
image by image in a Python loop, enlarges every candidate, and mixes them by their predicted IoU. It is made of the
modules of `segment_anything`.

Two things of the box are as in the toolkit, so that both sides have the same prompts; neither costs anything. The fixed
margin of five pixels that their scripts add is left out (the method's text has none), and a pixel counts as a square,
not as a point, which makes the half-width a thousandth of a pixel of 1024 larger.

Letters: N images, S pixels a side of SAM's input, M candidates, m pixels a side of a mask prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import Tensor, nn

from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture

EPS = 1e-6  # Of the sums that their formulas divide by.
POINT_POWER = 2
BOX_STDS = 2.5
PIXEL_VARIANCE = 1 / 12  # Of a square pixel, in squared pixels.
MASK_SCALE = 10.0
SELECTION_TEMPERATURE = 0.1
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 0.01
QUALITY_WEIGHT = 0.5
ROI_MARGIN = 0.2  # Of the box's side, on every side.
ROI_MIN_SHARE = 1 / 16  # 64 of 1024 pixels.
ROI_SLOPE = 5.0  # A pixel, of the soft window that a crop is pasted back through.


def public_sam(architecture: SAMArchitecture, seed: int = 0) -> Sam:
    """`segment_anything`'s own model with random weights, in evaluation mode.

    Position embeddings, which it leaves at zero for a checkpoint to fill, get small random values.

    Args:
        architecture (SAMArchitecture): The sizes.
        seed (int): Decides the weights. Defaults to 0.
    """
    torch.manual_seed(seed)
    sam = Sam(ImageEncoderViT(**architecture.encoder_sizes()), *architecture.build_decoding())
    with torch.no_grad():
        for name, weight in sam.image_encoder.named_parameters():
            if 'pos' in name:
                weight.normal_(std=0.02)
    return sam.eval()


class AuthorsRefiner(nn.Module):
    """Image and soft mask to refined logits, as the authors' scripts do it.

    Args:
        sam (Sam): From `public_sam`; its image encoder is frozen here.
    """

    def __init__(self, sam: Sam):
        super().__init__()
        self.sam = sam
        sam.image_encoder.requires_grad_(False)

    def forward(self, images: Tensor, coarse: Tensor) -> Tensor:
        """Refine the whole image.

        Args:
            images (Tensor): (N, 3, S, S), normalised.
            coarse (Tensor): (N, 1, h, w), probabilities.

        Returns:
            Tensor: Logits (N, 1, S, S).
        """
        return self.decode(self.sam.image_encoder(images), coarse)

    def refine_roi(self, images: Tensor, coarse: Tensor) -> Tensor:
        """Refine a crop around the object; the gradient of its place runs through the image encoder.

        Returns:
            Tensor: Logits (N, 1, S, S): 0 outside of the crop.
        """
        mask = self.enlarge(coarse)
        boxes = roi_boxes(mask)
        return paste(self(crop(images, boxes), crop(mask, boxes)), boxes)

    def decode(self, features: Tensor, coarse: Tensor) -> Tensor:
        """Prompts and mask decoder, image by image.

        Args:
            features (Tensor): (N, C, g, g), of the image encoder.
            coarse (Tensor): (N, 1, h, w), probabilities.

        Returns:
            Tensor: Logits (N, 1, S, S).
        """
        encoder, mask = self.sam.prompt_encoder, self.enlarge(coarse)
        points, boxes, masks = centroid(mask[:, 0] ** POINT_POWER), moment_boxes(mask), self.mask_prompts(mask)
        candidates, quality = [], []
        for n in range(len(mask)):
            label = torch.ones(1, 1, dtype=torch.long, device=mask.device)
            sparse, dense = encoder((points[n].view(1, 1, 2), label), boxes[n : n + 1], masks[n : n + 1])
            made, judged = self.sam.mask_decoder(
                image_embeddings=features[n : n + 1],
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
            candidates.append(made)
            quality.append(judged)
        large = self.enlarge(torch.cat(candidates))  # (N, M, S, S)
        weights = (torch.cat(quality) / SELECTION_TEMPERATURE).softmax(dim=1)
        return (weights[:, :, None, None] * large).sum(dim=1, keepdim=True)

    def enlarge(self, maps: Tensor) -> Tensor:
        """(N, A, h, w) to the size of SAM's input, bilinearly."""
        size = (self.sam.image_encoder.img_size,) * 2
        if tuple(maps.shape[-2:]) == size:
            return maps
        return F.interpolate(maps, size, mode='bilinear', align_corners=False)

    def mask_prompts(self, mask: Tensor) -> Tensor:
        """Probabilities (N, 1, S, S) to mask prompts (N, 1, m, m) in [-10, 10]."""
        size = self.sam.prompt_encoder.mask_input_size
        return F.interpolate((2 * mask - 1) * MASK_SCALE, size, mode='bilinear', align_corners=False)


class AuthorsStep:
    """One iteration of phase 2: the refiner on a batch, its losses, AdamW.

    Args:
        refiner (AuthorsRefiner): In training.
        images (Tensor): (N, 3, S, S), normalised.
        coarse (Tensor): (N, 1, S, S), probabilities.
        truth (Tensor): (N, 1, S, S) float, 0 or 1.
        precision (str): 'fp32', or 'bf16' under autocast.
    """

    def __init__(self, refiner: AuthorsRefiner, images: Tensor, coarse: Tensor, truth: Tensor, precision: str = 'fp32'):
        self.refiner, self.batch, self.precision = refiner, (images, coarse, truth), precision
        trainable = [weight for weight in refiner.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(trainable, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def __call__(self) -> float:
        """Run it; returns the loss before the update."""
        loss = self.backward()
        self.optimizer.step()
        return float(loss.detach())

    def backward(self) -> Tensor:
        """The loss, whose gradients the weights have then."""
        self.optimizer.zero_grad()
        images, coarse, truth = self.batch
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == 'bf16'):
            loss = phase2_loss(self.refiner(images, coarse), coarse, truth)
        loss.backward()
        return loss


def centroid(weights: Tensor) -> Tensor:
    """The mean position (N, 2) of weights (N, H, W): (x, y), indices of pixels."""
    total = weights.sum(dim=(1, 2)) + EPS
    y, x = (torch.arange(size, device=weights.device, dtype=weights.dtype) for size in weights.shape[1:])
    return torch.stack([(weights * x).sum(dim=(1, 2)), (weights * y[:, None]).sum(dim=(1, 2))], dim=1) / total[:, None]


def moment_boxes(mask: Tensor, stds: float = BOX_STDS) -> Tensor:
    """Centroid plus and minus standard deviations of the probabilities, clamped to the image.

    Args:
        mask (Tensor): (N, 1, H, W), probabilities.
        stds (float): Half-width in standard deviations.

    Returns:
        Tensor: (N, 4), (x0, y0, x1, y1), indices of pixels.
    """
    weights = mask[:, 0]
    total = weights.sum(dim=(1, 2)) + EPS
    centre = centroid(weights)
    y, x = (torch.arange(size, device=mask.device, dtype=mask.dtype) for size in weights.shape[1:])
    variance = [
        (weights * (x - centre[:, 0, None, None]) ** 2).sum(dim=(1, 2)) / total,
        (weights * (y[:, None] - centre[:, 1, None, None]) ** 2).sum(dim=(1, 2)) / total,
    ]
    half = stds * (torch.stack(variance, dim=1) + PIXEL_VARIANCE).sqrt()
    return clamp_boxes(torch.cat([centre - half, centre + half], dim=1), weights.shape[1:])


def clamp_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (N, 4), indices of pixels, into an image of (height, width)."""
    last = boxes.new_tensor([size[1] - 1, size[0] - 1]).repeat(2)
    return boxes.clamp(min=0).minimum(last)


def roi_boxes(mask: Tensor) -> Tensor:
    """The window (N, 4) that is cropped, indices of pixels: the moment box with a margin, no smaller than 1/16."""
    low, high = moment_boxes(mask).chunk(2, dim=1)
    half = ((high - low) * (0.5 + ROI_MARGIN)).clamp(min=ROI_MIN_SHARE * mask.shape[-1] / 2)
    centre = (low + high) / 2
    return clamp_boxes(torch.cat([centre - half, centre + half], dim=1), mask.shape[-2:])


def crop(maps: Tensor, boxes: Tensor) -> Tensor:
    """Resample the window of each of (N, A, S, S) to the whole size, without keeping its aspect."""
    low, high = boxes.chunk(2, dim=1)
    scale, shift = (high - low) / maps.shape[-1], (high + low) / maps.shape[-1] - 1
    return _resample(maps, scale, shift)


def paste(maps: Tensor, boxes: Tensor) -> Tensor:
    """Put (N, A, S, S) back into its window, through soft edges; the rest is 0."""
    low, high = boxes.chunk(2, dim=1)
    scale, shift = (high - low) / maps.shape[-1], (high + low) / maps.shape[-1] - 1
    at = torch.arange(maps.shape[-1], device=maps.device, dtype=maps.dtype)
    inside = (ROI_SLOPE * (at - low[..., None])).sigmoid() * (ROI_SLOPE * (high[..., None] - at)).sigmoid()  # (N, 2, S)
    return _resample(maps, 1 / scale, -shift / scale) * (inside[:, 1, :, None] * inside[:, 0, None, :])[:, None]


def _resample(maps: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Sample at ``scale * position + shift``, both (N, 2) for (x, y), positions in [-1, 1]; 0 outside."""
    theta = torch.cat([torch.diag_embed(scale), shift[..., None]], dim=-1)
    return F.grid_sample(maps, F.affine_grid(theta, list(maps.shape), align_corners=False), align_corners=False)


def mask_losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy, and soft Dice with a smooth of one pixel, per image, of (N, 1, S, S); scalars."""
    probability = logits.sigmoid()
    overlap, total = (probability * truth).sum(dim=(1, 2, 3)), (probability + truth).sum(dim=(1, 2, 3))
    return F.binary_cross_entropy_with_logits(logits, truth), (1 - (2 * overlap + 1) / (total + 1)).mean()


def quality_term(logits: Tensor, coarse: Tensor, truth: Tensor) -> Tensor:
    """How far a probability leaves the binary coarse mask where that was right, a scalar; all (N, 1, S, S)."""
    binary = (coarse > 0.5).to(logits.dtype)
    return ((logits.sigmoid() - binary).abs() * (binary == truth)).mean()


def phase2_loss(logits: Tensor, coarse: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy, Dice and the quality-aware term, of the same size (N, 1, S, S) all."""
    cross_entropy, dice = mask_losses(logits, truth)
    return cross_entropy + dice + QUALITY_WEIGHT * quality_term(logits, coarse, truth)


def phase3_loss(scores: Tensor, logits: Tensor, truth: Tensor, coarse_truth: Tensor) -> Tensor:
    """Half coarse, half refined: cross-entropy and Dice of the coarse network's two classes, and of the refined mask.

    Args:
        scores (Tensor): (N, 2, h, w), of background and object, from the coarse network.
        logits (Tensor): (N, 1, S, S), refined.
        truth (Tensor): (N, 1, S, S), 0 or 1.
        coarse_truth (Tensor): (N, h, w), integers, 0 or 1.
    """
    probability, wanted = scores.softmax(dim=1), F.one_hot(coarse_truth, 2).movedim(-1, 1).to(scores.dtype)
    overlap = (probability * wanted).sum(dim=(0, 2, 3))
    total = (probability**2 + wanted**2).sum(dim=(0, 2, 3))
    coarse_dice = (1 - (2 * overlap + 1e-5) / (total + 1e-5)).mean()
    coarse = 0.5 * F.cross_entropy(scores, coarse_truth) + 0.5 * coarse_dice
    cross_entropy, dice = mask_losses(logits, truth)
    return 0.5 * coarse + 0.5 * (0.5 * cross_entropy + 0.5 * dice)
