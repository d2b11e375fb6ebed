"""A refiner that writes down what it is given, and answers with a known mask."""

import torch

from ultrarefiner.interfaces import BaseRefiner
from ultrarefiner.structures import ImageEmbedding, InputProfile, SegOutput


class SpyRefiner(BaseRefiner):
    """Gives ``logit`` everywhere, one candidate of it, and the predicted IoU 0.5."""

    accepts = frozenset({'points', 'boxes', 'masks'})
    input_profile = InputProfile(size=(32, 32))

    def __init__(self, logit=7.0):
        super().__init__()
        self.logit = logit
        self.images, self.calls = [], []

    def encode_image(self, images):
        self.images.append(images)
        batch, content = self.input_profile.prepare(images)
        return ImageEmbedding(batch, content)

    def decode(self, embedding, coarse, prompts, size):
        self.calls.append((coarse, prompts, size))
        shape = coarse.logits.shape[:2]
        quality = torch.full(shape, 0.5)
        candidates = torch.full((*shape, 1, 16, 16), self.logit)
        return SegOutput(torch.full((*shape, *size), self.logit), quality, candidates, quality[..., None])


def disc_logits(size, centre, radius, inside=6.0):
    """Logits (1, 1, H, W): a disc, in pixels (x, y), that falls off over about two pixels."""
    y, x = torch.meshgrid(*[torch.arange(length) + 0.5 for length in size], indexing='ij')
    distance = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2).sqrt()
    return (3 * (radius - distance)).clamp(-inside, inside)[None, None]
