"""A small sound refiner passes; each promise has a refiner that breaks it, and is caught."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ultrarefiner.interfaces import BaseRefiner
from ultrarefiner.structures import ImageEmbedding, SegOutput
from ultrarefiner.testing import ContractError, check_refiner
from ultrarefiner.utils.freeze import freeze


class ToyRefiner(BaseRefiner):
    """Adds what the prompts say to an image feature; one weight a prompt kind."""

    accepts = frozenset({'points', 'boxes', 'masks'})
    predicts_quality = True

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.stem = nn.Conv2d(3, 1, 1)
        self.points, self.boxes, self.masks = nn.Linear(2, 1), nn.Linear(4, 1), nn.Conv2d(1, 1, 1)
        self.quality = nn.Linear(1, 1)

    def encode_image(self, images):
        resized = [F.interpolate(image[None].float() / 255, size=(16, 16)) for image in images]
        return ImageEmbedding(self.stem(torch.cat(resized)), torch.full((len(images), 2), 16))

    def decode(self, embedding, coarse, prompts, size):
        logits = embedding.features
        if prompts.points is not None:
            counted = (prompts.point_labels != -1)[..., None]
            logits = logits + (self.points(prompts.points) * counted).sum(dim=2)[..., None]
        if prompts.boxes is not None:
            logits = logits + self.boxes(prompts.boxes)[..., None]
        if prompts.masks is not None:
            low = F.interpolate(prompts.masks, size=(16, 16), mode='bilinear')
            logits = logits + self.masks(low.flatten(0, 1)[:, None]).view_as(low)
        quality = self.quality(logits.mean(dim=(-2, -1), keepdim=True).flatten(2))[..., 0]
        return SegOutput(F.interpolate(logits, size=size, mode='bilinear'), quality)

    def freeze_unused(self, kinds, quality_used):
        for kind in self.accepts - kinds:
            freeze(getattr(self, kind))
        if not quality_used:
            freeze(self.quality)


class RefusesMasks(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        return output._replace(logits=output.logits / (prompts.masks is None))


class OwnSize(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        return super().decode(embedding, coarse, prompts, (32, 32))


class FlatQuality(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        return output._replace(quality=output.quality.flatten())


class OddCandidates(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        return output._replace(candidates=output.logits)


class BatchNormalised(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        return output._replace(logits=output.logits - output.logits.mean())


class Random(ToyRefiner):
    """Draws anew for every call, from the number of calls."""

    calls = 0

    def decode(self, embedding, coarse, prompts, size):
        self.calls += 1
        output = super().decode(embedding, coarse, prompts, size)
        return output._replace(logits=output.logits + 1e-5 * self.calls)


class ReadsPadding(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        if prompts.points is None:
            return output
        return output._replace(logits=output.logits + prompts.points.sum(dim=(2, 3))[..., None, None])


class ForgetsToFreeze(ToyRefiner):
    def freeze_unused(self, kinds, quality_used):
        if not quality_used:
            freeze(self.quality)


class ForgetsTheQuality(ToyRefiner):
    def freeze_unused(self, kinds, quality_used):
        super().freeze_unused(kinds, True)


class OverflowsInHalf(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        if embedding.features.dtype == torch.bfloat16:
            return output._replace(logits=output.logits * float('inf'))
        return output


class AcceptsNothing(ToyRefiner):
    accepts = frozenset()


class AcceptsAMisspeltKind(ToyRefiner):
    accepts = frozenset({'points', 'mask'})


class NeedsAMask(ToyRefiner):
    def decode(self, embedding, coarse, prompts, size):
        prompts.masks.float()
        return super().decode(embedding, coarse, prompts, size)


class DeniesItsQuality(ToyRefiner):
    predicts_quality = False


def test_a_sound_refiner_passes():
    check_refiner(dict(type=ToyRefiner))


@pytest.mark.parametrize(
    'broken, promise',
    [
        (AcceptsNothing, 'declared kinds'),
        (AcceptsAMisspeltKind, 'declared kinds'),
        (NeedsAMask, "a result for 2 images, 1 slot(s), the prompts ['boxes']"),
        (DeniesItsQuality, 'predicted quality'),
        (RefusesMasks, 'finite logits'),
        (OwnSize, 'shape of logits'),
        (FlatQuality, 'shape of quality'),
        (OddCandidates, 'shape of candidates'),
        (BatchNormalised, 'batch equals its images'),
        (Random, 'evaluation is deterministic'),
        (ReadsPadding, 'padding points'),
        (OverflowsInHalf, 'finite logits, bfloat16'),
        (ForgetsToFreeze, 'every trainable parameter'),
        (ForgetsTheQuality, 'every trainable parameter'),
    ],
)
def test_a_broken_refiner_is_caught(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_refiner(dict(type=broken))
    assert caught.value.promise.startswith(promise)


def test_the_message_names_the_parameters_that_are_left_out():
    with pytest.raises(ContractError, match=r'points.*masks\.weight.*freeze_unused'):
        check_refiner(dict(type=ForgetsToFreeze))
