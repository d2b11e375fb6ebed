from collections import Counter

import pytest
import torch
from prompt_shapes import logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS, REFINERS
from ultrarefiner.structures import SegOutput

PARTS = ('SoftArgmaxPoint', 'MomentBox', 'LearnableMaskPrompt')
WHOLE = dict(type='ComposePrompts', generators=[dict(type=name) for name in PARTS])
LOGITS = logits_of(rectangle((32, 32), 4, 8, 12, 24), inside=0.9)


def subset(generator=WHOLE):
    return PROMPT_GENERATORS.build(dict(type='RandomPromptSubset', generator=generator))


def draw(generator, seed):
    torch.manual_seed(seed)
    return generator(SegOutput(LOGITS), [])


def test_evaluation_has_all_kinds():
    prompts, whole = draw(subset().eval(), 0), prompts_of(WHOLE, LOGITS)
    for name in ('points', 'point_labels', 'boxes', 'masks', 'valid'):
        assert torch.equal(getattr(prompts, name), getattr(whole, name))


def test_every_subset_but_the_empty_one_has_the_same_chance():
    generator = subset().train()
    counts = Counter(draw(generator, seed).kinds for seed in range(350))
    assert len(counts) == 7 and frozenset() not in counts
    # 50 expected of each, with a standard deviation of 6.5.
    assert all(25 < count < 75 for count in counts.values())


def test_what_is_kept_is_as_it_was():
    generator, whole = subset().train(), prompts_of(WHOLE, LOGITS)
    for seed in range(10):
        prompts = draw(generator, seed)
        for kind in prompts.kinds:
            assert torch.equal(getattr(prompts, kind), getattr(whole, kind))
        assert torch.equal(prompts.valid, whole.valid)
        assert (prompts.points is None) == (prompts.point_labels is None)


def test_every_weight_has_a_gradient_in_every_step(small_parts):
    """Of the generator and of the refiner: distributed training waits for each of them."""
    refiner = REFINERS.build(small_parts['refiner'])
    generator = subset().train()
    refiner.freeze_unused(generator.produces, quality_used=False)
    refiner.train()
    images = [torch.zeros(3, 32, 32, dtype=torch.uint8)]
    seen = set()
    for seed in range(12):
        prompts = draw(generator, seed)
        seen.add(prompts.kinds)
        loss = refiner(images, SegOutput(LOGITS), prompts, (32, 32)).logits.square().mean()
        own = list(generator.parameters())
        weights = own + [weight for weight in refiner.parameters() if weight.requires_grad]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        assert all(gradient is not None for gradient in gradients)
        assert any(float(gradient) != 0 for gradient in gradients[: len(own)]) == ('masks' in prompts.kinds)
    assert len(seen) > 4


def test_a_generator_of_one_kind_is_refused():
    with pytest.raises(ValueError, match=r"MomentBox, which produces \['boxes'\] only"):
        subset(dict(type='MomentBox'))
