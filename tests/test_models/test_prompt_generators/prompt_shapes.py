"""Shapes with a known box and centre, for the tests of prompt generators."""

import torch

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput


def ellipse(size, centre, radii, samples=8):
    """Coverage (H, W) in [0, 1] of an ellipse; (x, y) pairs normalised, radii too."""
    height, width = size
    x = (torch.arange(width * samples) + 0.5) / (width * samples)
    y = ((torch.arange(height * samples) + 0.5) / (height * samples))[:, None]
    inside = ((x - centre[0]) / radii[0]).square() + ((y - centre[1]) / radii[1]).square() <= 1
    return torch.nn.functional.avg_pool2d(inside[None].float(), samples)[0]


def rectangle(size, x0, y0, x1, y1):
    """Mask (H, W) of the pixels x0 <= column < x1, y0 <= row < y1."""
    mask = torch.zeros(size)
    mask[y0:y1, x0:x1] = 1
    return mask


def ring():
    """A ring (64, 64) with its hole at the centre of the image."""
    return ellipse((64, 64), (0.5, 0.5), (0.4, 0.4)) * (1 - ellipse((64, 64), (0.5, 0.5), (0.25, 0.25)))


def crescent():
    """A crescent (64, 64), open to the right; its centroid lies in the opening."""
    return ellipse((64, 64), (0.5, 0.5), (0.4, 0.4)) * (1 - ellipse((64, 64), (0.65, 0.5), (0.35, 0.35)))


def two_lesions():
    """Two discs (64, 64)."""
    return ellipse((64, 64), (0.2, 0.3), (0.15, 0.15)) + ellipse((64, 64), (0.75, 0.7), (0.12, 0.12))


def probability_at(mask, point):
    """The value of a mask (H, W) in the pixel that holds a normalised (x, y)."""
    return float(mask[int(point[1] * mask.shape[0]), int(point[0] * mask.shape[1])])


def logits_of(mask, background=0.0, inside=1.0):
    """Logits (1, 1, H, W) of a coverage, over a uniform background probability."""
    probability = (mask * inside).clamp(min=background)
    return probability.clamp(1e-9, 1 - 1e-7).logit()[None, None]


def prompts_of(cfg, logits):
    return PROMPT_GENERATORS.build(cfg)(SegOutput(logits), [torch.zeros(3, 8, 8, dtype=torch.uint8)] * len(logits))
