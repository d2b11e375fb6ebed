"""Each promise of an object splitter has a splitter that breaks it, and is caught."""

import pytest
import torch

from ultrarefiner.models.object_splitters import ConnectedComponents
from ultrarefiner.structures import SegOutput
from ultrarefiner.testing import ContractError, check_object_splitter


class WholeClass(ConnectedComponents):
    """One slot for everything."""

    def split(self, coarse):
        return coarse

    def merge(self, refined, num_slots):
        return refined


class FlatSlots(ConnectedComponents):
    """Forgets that slots go class by class."""

    def split(self, coarse):
        logits = super().split(coarse).logits
        return SegOutput(logits.unflatten(1, (coarse.logits.shape[1], -1)).transpose(1, 2).flatten(1, 2))

    def merge(self, refined, num_slots):
        logits = refined.logits.unflatten(1, (-1, num_slots)).transpose(1, 2).flatten(1, 2)
        return super().merge(SegOutput(logits, *refined[1:]), num_slots)


class ShowsTheRest(ConnectedComponents):
    """Leaves what gets no slot in the last one, visible."""

    def split(self, coarse):
        logits = super().split(coarse).logits
        return SegOutput(torch.where(logits < -40, logits + 128, logits))


class LosesTheRest(ConnectedComponents):
    """Forgets the components that get no slot."""

    def merge(self, refined, num_slots):
        return SegOutput(refined.logits.unflatten(1, (num_slots, -1))[:, :, :-1].amax(dim=2))


class TransposedSlots(ConnectedComponents):
    def split(self, coarse):
        return SegOutput(super().split(coarse).logits.transpose(-2, -1))


class Detached(ConnectedComponents):
    def split(self, coarse):
        return SegOutput(super().split(coarse).logits.detach())


class CrossTalk(ConnectedComponents):
    """Takes the floor from the batch."""

    def split(self, coarse):
        logits = super().split(coarse).logits
        return SegOutput(torch.where(logits == -20, -20 - coarse.logits.sum().abs(), logits))


class MergesClasses(ConnectedComponents):
    """Lets a very sure class push the others down."""

    def merge(self, refined, num_slots):
        merged = super().merge(refined, num_slots)
        push = merged.logits.amax(dim=1, keepdim=True).sub(20).relu()
        return merged._replace(logits=torch.where(merged.logits < 20, merged.logits - push, merged.logits))


class SumsQuality(ConnectedComponents):
    def merge(self, refined, num_slots):
        merged = super().merge(refined, num_slots)
        return merged if merged.quality is None else merged._replace(quality=2 * merged.quality)


class DropsCandidates(ConnectedComponents):
    def merge(self, refined, num_slots):
        return super().merge(refined, num_slots)._replace(candidates=None)


class HidesInHalf(ConnectedComponents):
    """Lowers the rest in the precision of the logits."""

    def split(self, coarse):
        return SegOutput(super().split(coarse).logits.to(coarse.logits.dtype))


@pytest.mark.parametrize(
    'broken, promise',
    [
        (WholeClass, 'a slot for each object'),
        (FlatSlots, 'a slot for each object'),
        (TransposedSlots, 'shape of the split logits'),
        (LosesTheRest, 'merge(split(coarse)), dozens of objects'),
        (ShowsTheRest, 'merge(split(coarse))'),
        (Detached, 'gradient'),
        (CrossTalk, 'image independence'),
        (MergesClasses, 'a refined slot changes its own class alone'),
        (SumsQuality, 'quality after merge'),
        (DropsCandidates, 'shapes after merge'),
        (HidesInHalf, 'bfloat16'),
    ],
)
def test_a_broken_splitter_is_caught(broken, promise):
    with pytest.raises(ContractError) as caught:
        check_object_splitter(dict(type=broken))
    assert caught.value.promise.startswith(promise)


def test_too_few_objects_are_no_slot_for_each():
    with pytest.raises(ContractError, match='a slot for each object'):
        check_object_splitter(dict(type='ConnectedComponents', max_objects=1))
