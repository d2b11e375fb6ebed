"""IterativeRefiner: what is fed back, how often, and where gradient goes."""

import itertools

import numpy as np
import pytest
import torch
from sam_makers import coarse, original_sam, random_image, random_prompts, tiny_refiner
from segment_anything import SamPredictor
from spy_refiner import SpyRefiner, disc_logits

from ultrarefiner.models.refiners import IterativeRefiner
from ultrarefiner.structures import Prompts, SegOutput

BOX = dict(type='ThresholdBox')


class DiscRefiner(SpyRefiner):
    """Two candidates a slot, of which the second is better: a disc that shifts by a pixel a pass, or nothing."""

    def __init__(self, empty=False):
        super().__init__()
        self.empty = empty

    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        shape = coarse.logits.shape[:2]
        disc = disc_logits((32, 32), (10 + len(self.calls), 16), 5) - 10 * self.empty
        candidates = torch.stack([-disc, disc], dim=2).expand(*shape, 2, 32, 32)
        quality = torch.tensor([0.2, 0.6]).expand(*shape, 2)
        return SegOutput(output.logits, output.quality, candidates, quality)


def run(refiner, prompts, slots=1, size=(40, 40)):
    return refiner([random_image(40, 40)], coarse(1, slots), prompts, size)


def test_one_pass_is_the_held_refiner():
    inner, prompts = tiny_refiner(), random_prompts(1)
    with torch.no_grad():
        ours, theirs = (run(refiner, prompts) for refiner in (IterativeRefiner(inner, 1, BOX), inner))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


def test_mask_and_box_of_a_pass_are_the_prompts_of_the_next():
    spy, prompts = DiscRefiner(), random_prompts(1, 2)
    run(IterativeRefiner(spy, num_iterations=3, box=BOX), prompts, slots=2)
    assert len(spy.images) == 1 and len(spy.calls) == 3
    given = [call[1] for call in spy.calls]
    assert given[0] is prompts
    for index, later in enumerate(given[1:], start=1):
        disc = disc_logits((32, 32), (10 + index, 16), 5)
        assert torch.equal(later.masks, disc.expand(1, 2, 32, 32))
        left, right = (10 + index - 5) / 32, (10 + index + 5) / 32
        torch.testing.assert_close(later.boxes, torch.tensor([left, 11 / 32, right, 21 / 32]).expand(1, 2, 4))
        assert torch.equal(later.points, prompts.points) and torch.equal(later.point_labels, prompts.point_labels)


def test_without_candidates_the_logits_are_fed_back():
    class Plain(SpyRefiner):
        def decode(self, *inputs):
            return SegOutput(super().decode(*inputs).logits)

    spy = Plain(3.0)
    run(IterativeRefiner(spy, num_iterations=2), random_prompts(1, kinds=('masks',)), size=(12, 20))
    assert torch.equal(spy.calls[1][1].masks, torch.full((1, 1, 12, 20), 3.0))


@pytest.mark.parametrize(
    'kinds, box, passes', [(('points',), BOX, 1), (('boxes',), BOX, 3), (('boxes',), None, 1), (('masks',), None, 3)]
)
def test_only_kinds_that_came_are_fed_back(kinds, box, passes):
    spy = DiscRefiner()
    run(IterativeRefiner(spy, num_iterations=3, box=box), random_prompts(1, kinds=kinds))
    assert len(spy.calls) == passes
    assert all(prompts.kinds == set(kinds) for _, prompts, _ in spy.calls)


def test_a_slot_that_becomes_empty_keeps_its_prompts():
    spy, prompts = DiscRefiner(empty=True), random_prompts(1)
    run(IterativeRefiner(spy, num_iterations=2, box=BOX), prompts)
    kept = spy.calls[1][1]
    assert torch.equal(kept.boxes, prompts.boxes)
    resized = torch.nn.functional.interpolate(prompts.masks, (32, 32), mode='bilinear')
    assert torch.equal(kept.masks, resized)


def test_iterations_equal_those_of_sam_predictor():
    refiner, image = tiny_refiner(), random_image(64, 64)
    prompts = random_prompts(1)
    start = torch.nn.functional.interpolate(prompts.masks, (32, 32), mode='bilinear')
    prompts = Prompts(prompts.points, prompts.point_labels, prompts.boxes, start)
    with torch.no_grad():
        ours = IterativeRefiner(refiner, num_iterations=3)([image], coarse(1), prompts, (64, 64))

    predictor = SamPredictor(original_sam(refiner))
    predictor.set_image(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    low_res = start[0].numpy()
    for _ in range(3):
        masks, quality, candidates = predictor.predict(
            prompts.points[0, 0].numpy() * 64 - 0.5,
            prompts.point_labels[0, 0].numpy(),
            prompts.boxes[0, 0].numpy() * 64 - 0.5,
            low_res,
            return_logits=True,
        )
        low_res = candidates[quality.argmax()][None]
    # Three times over, the rounding of one pass goes into the next.
    torch.testing.assert_close(ours.logits[0, 0], torch.from_numpy(masks[quality.argmax()]), atol=5e-4, rtol=0)
    torch.testing.assert_close(ours.candidate_quality[0, 0], torch.from_numpy(quality), atol=1e-4, rtol=0)
    assert np.abs(run(refiner, prompts, size=(64, 64)).logits[0, 0].detach().numpy() - masks[0]).max() > 0.1


@pytest.mark.parametrize('backprop, reaches', [(None, True), (2, True), (1, False)])
def test_gradient_flows_through_as_many_of_the_last_passes_as_asked(backprop, reaches):
    prompts = random_prompts(1)
    masks, points = prompts.masks.requires_grad_(), prompts.points.requires_grad_()
    refiner = IterativeRefiner(tiny_refiner(), num_iterations=2, box=BOX, backprop_iterations=backprop)
    logits = run(refiner, prompts).logits
    by_mask, by_point = torch.autograd.grad(logits.square().sum(), (masks, points), allow_unused=True)
    assert (by_mask is not None and by_mask.abs().max() > 0) == reaches
    assert by_point.abs().max() > 0


@pytest.mark.parametrize('backprop', [1, 2])
def test_every_parameter_that_trains_gets_a_gradient_with_every_subset_of_kinds(backprop):
    for size in range(4):
        for kinds in itertools.combinations(('points', 'boxes', 'masks'), size):
            refiner = IterativeRefiner(tiny_refiner(), num_iterations=2, box=BOX, backprop_iterations=backprop).train()
            refiner.freeze_unused(frozenset(kinds), quality_used=True)
            output = run(refiner, random_prompts(1, 1, kinds))
            (output.logits.mean() + output.quality.mean()).backward()
            silent = [name for name, p in refiner.named_parameters() if p.requires_grad and p.grad is None]
            assert silent == [], kinds


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(num_iterations=0), ['num_iterations is 0']),
        (dict(num_iterations=2, backprop_iterations=3), ['backprop_iterations 3']),
        (dict(num_iterations=2, backprop_iterations=0), ['backprop_iterations 0']),
        (dict(box=dict(type='MaskPrompt')), ['MaskPrompt', "['masks']", 'ThresholdBox']),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError) as error:
        IterativeRefiner(SpyRefiner(), **options)
    assert all(word in str(error.value) for word in words)
