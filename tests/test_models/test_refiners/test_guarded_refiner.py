"""GuardedRefiner: each rule by hand, a slot on its own, transparent in training and in a checkpoint."""

import copy
import json

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint
from sam_makers import random_image, random_prompts, tiny_refiner
from spy_refiner import SpyRefiner

from ultrarefiner.models.refiners import GatedRefiner, GuardedRefiner
from ultrarefiner.registry import MODELS
from ultrarefiner.structures import SegOutput
from ultrarefiner.utils.checkpoint import load_strictly
from ultrarefiner.utils.freeze import freeze
from ultrarefiner.utils.partial_checkpoint import frozen_names


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


class Gives(SpyRefiner):
    """Gives masks that it was told, and the predicted IoU 0.5."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def decode(self, embedding, coarse, prompts, size):
        return super().decode(embedding, coarse, prompts, size)._replace(logits=self.logits)


def blocks(*intervals, length=40):
    """Logits (1, 1, 4, length) of 3 in the columns of the intervals, else -3."""
    logits = torch.full((1, 1, 4, length), -3.0)
    for start, stop in intervals:
        logits[..., start:stop] = 3
    return logits


def decode(refiner, coarse):
    images = [random_image(4, 40, seed) for seed in range(len(coarse))]
    return refiner(images, SegOutput(coarse), random_prompts(*coarse.shape[:2]), (4, 40))


def is_kept_coarse(coarse, refined, **rules):
    """Whether the guard takes the coarse mask; anything but one of the two fails."""
    logits = decode(GuardedRefiner(Gives(refined), rules).eval(), coarse).logits
    assert torch.equal(logits, coarse) or torch.equal(logits, refined)
    return torch.equal(logits, coarse)


def test_agreement_is_the_iou_of_the_two_masks():
    coarse, refined = blocks((0, 12)), blocks((6, 18))  # 6 of 18 columns
    assert not is_kept_coarse(coarse, refined, agreement=(0.33, None))
    assert is_kept_coarse(coarse, refined, agreement=(0.34, None))
    assert is_kept_coarse(coarse, refined, agreement=(None, 0.3))


def test_area_ratio_is_refined_over_coarse():
    coarse, refined = blocks((0, 10)), blocks((10, 40))
    assert not is_kept_coarse(coarse, refined, area_ratio=(3, 3))
    assert is_kept_coarse(coarse, refined, area_ratio=(None, 2.99))
    assert is_kept_coarse(refined, coarse, area_ratio=(0.34, None))
    assert not is_kept_coarse(refined, coarse, area_ratio=(0.33, None))


def test_components_are_those_of_the_refined_mask():
    coarse, refined = blocks((0, 2), (4, 6), (8, 10), (12, 14)), blocks((0, 2), (4, 6), (20, 30))
    assert not is_kept_coarse(coarse, refined, components=(None, 3))
    assert is_kept_coarse(coarse, refined, components=(None, 2))
    assert is_kept_coarse(coarse, blocks(), components=(1, None))


def test_predicted_iou_is_that_of_the_refiner():
    assert is_kept_coarse(blocks((0, 9)), blocks((0, 8)), predicted_iou=(0.51, None))
    assert not is_kept_coarse(blocks((0, 9)), blocks((0, 8)), predicted_iou=(0.5, None))


def test_one_broken_rule_is_enough():
    pair, kept = (blocks((0, 10)), blocks((0, 30))), dict(agreement=(0.3, None))
    assert not is_kept_coarse(*pair, **kept)
    assert is_kept_coarse(*pair, **kept, area_ratio=(None, 2))


def test_empty_masks():
    empty, lesion = blocks(), blocks((3, 20))
    # Two of them agree, and differ in nothing.
    assert not is_kept_coarse(empty, empty - 1, agreement=(0.99, None), area_ratio=(0.99, 1.01))
    assert is_kept_coarse(empty, lesion, area_ratio=(None, 1e6))
    assert is_kept_coarse(lesion, empty, area_ratio=(1e-6, None))
    assert is_kept_coarse(lesion, empty, agreement=(1e-6, None))


def test_default_rules_are_the_published_ones():
    refiner = GuardedRefiner(SpyRefiner())
    assert refiner.rules.ranges == dict(agreement=(0.5, None), area_ratio=(0.3, 3.0), components=(None, 5))


def test_no_rules_keep_every_refined_mask():
    assert not is_kept_coarse(blocks((0, 20)), blocks((30, 31)))


def test_each_slot_of_each_image_on_its_own():
    coarse = torch.cat([torch.cat([blocks((0, 10)), blocks((20, 30))], dim=1)] * 2)
    far, near = blocks((30, 40)), blocks((20, 29))
    refined = torch.cat([torch.cat([far, near], dim=1), torch.cat([blocks((0, 11)), far], dim=1)])
    logits = decode(GuardedRefiner(Gives(refined), dict(agreement=(0.5, None))).eval(), coarse).logits
    kept = [[torch.equal(logits[n, k], coarse[n, k]) for k in range(2)] for n in range(2)]
    assert kept == [[True, False], [False, True]]
    assert torch.equal(logits[0, 1], refined[0, 1]) and torch.equal(logits[1, 0], refined[1, 0])


def test_coarse_logits_are_resized_to_the_size_asked_for():
    coarse, far = blocks((0, 20), length=40)[..., ::2], blocks((39, 40))
    logits = decode(GuardedRefiner(Gives(far)).eval(), coarse).logits
    assert logits.shape == far.shape and torch.equal(logits > 0, blocks((0, 20)) > 0)


def test_in_training_it_is_not_there():
    coarse, far = blocks((0, 10)), blocks((30, 40))
    refiner = GuardedRefiner(Gives(far))
    assert torch.equal(decode(refiner.train(), coarse).logits, far)
    assert torch.equal(decode(refiner.eval(), coarse).logits, coarse)


def test_a_rule_on_a_predicted_iou_that_is_not_there_is_refused():
    class Mute(SpyRefiner):
        def decode(self, embedding, coarse, prompts, size):
            return SegOutput(super().decode(embedding, coarse, prompts, size).logits)

    with pytest.raises(ValueError, match='predicted_iou.*drop the rule'):
        decode(GuardedRefiner(Mute(), dict(predicted_iou=(0.5, None))).eval(), blocks((0, 10)))


def test_rules_come_from_a_file(tmp_path):
    path = tmp_path / 'guard.json'
    path.write_text(json.dumps(dict(rules=dict(agreement=[0.25, None]), calibrated_on=[])))
    assert GuardedRefiner(SpyRefiner(), str(path)).rules.ranges == dict(agreement=(0.25, None))


@pytest.mark.parametrize('gate', [None, dict(type='LearnedGate', channels=4)], ids=['plain', 'gated'])
def test_a_guard_goes_around_a_trained_refiner_and_off_again(gate, tmp_path):
    """The same file, through our own reader and through mmengine's; its names are those without guard."""

    def make(seed):
        inner = tiny_refiner() if gate is None else GatedRefiner(tiny_refiner(), gate)
        generator = torch.Generator().manual_seed(seed)
        for weight in inner.parameters():
            torch.nn.init.normal_(weight, generator=generator)
        return inner

    path = str(tmp_path / 'plain.pth')
    plain = torch.nn.ModuleDict(dict(refiner=make(1)))
    save_checkpoint(dict(state_dict=plain.state_dict()), path)
    guarded = torch.nn.ModuleDict(dict(refiner=copy.deepcopy(GuardedRefiner(make(2)))))
    assert list(guarded.state_dict()) == list(plain.state_dict())
    load_strictly(guarded, plain.state_dict(), path)
    again = torch.nn.ModuleDict(dict(refiner=make(3)))
    load_strictly(again, guarded.state_dict(), path)
    by_mmengine = torch.nn.ModuleDict(dict(refiner=GuardedRefiner(make(4))))
    load_checkpoint(by_mmengine, path, strict=True)
    for model in (guarded, again, by_mmengine):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), plain.parameters()))


def test_what_is_frozen_has_the_names_of_the_state_dict():
    refiner = tiny_refiner()
    freeze(refiner.image_encoder)
    guarded = torch.nn.ModuleDict(dict(refiner=GuardedRefiner(refiner)))
    assert frozen_names(guarded) == frozen_names(torch.nn.ModuleDict(dict(refiner=refiner)))
    assert set(frozen_names(guarded)) < set(guarded.state_dict())


def test_it_works_inside_of_the_model(small_parts):
    """The coarse network finds nothing and the SAM something: the default rules keep the empty mask."""
    torch.manual_seed(0)
    parts = dict(small_parts, prompt_generator=dict(type='MaskPrompt', threshold=1e-6))
    held = parts['refiner']
    plain = MODELS.build(parts).eval()
    guarded = MODELS.build(dict(parts, refiner=dict(type='GuardedRefiner', refiner=held))).eval()
    load_strictly(guarded, plain.state_dict(), 'plain')
    with torch.no_grad():
        for model in (plain, guarded):
            model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([5.0, -5.0]))
        images = [random_image(40, 48)]
        before, after = (model.predict(images)[0] for model in (plain, guarded))
    assert before.pred_sem_seg.data.any() and not before.coarse_sem_seg.data.any()
    assert torch.equal(after.seg_logits.data, after.coarse_logits.data)
