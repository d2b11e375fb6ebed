import pytest
import torch
from prompt_shapes import logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS


def compose(*types):
    return dict(type='ComposePrompts', generators=[dict(type=name) for name in types])


def test_prompts_are_those_of_the_parts_in_order():
    logits = logits_of(rectangle((32, 32), 4, 8, 12, 24))
    parts = ('SoftArgmaxPoint', 'MomentBox', 'NegativePoint', 'MaskPrompt')
    together = prompts_of(compose(*parts), logits)
    point, box, negative, mask = (prompts_of(dict(type=name), logits) for name in parts)
    assert torch.equal(together.points, torch.cat([point.points, negative.points], dim=2))
    assert together.point_labels.tolist() == [[[1, 0]]]
    assert torch.equal(together.boxes, box.boxes) and torch.equal(together.masks, mask.masks)


@pytest.mark.parametrize(
    'parts, produces, differentiable',
    [
        (('ThresholdBox',), {'boxes'}, False),
        (('ThresholdBox', 'SoftArgmaxPoint'), {'boxes', 'points'}, True),
        (('MomentBox', 'MaskPrompt'), {'boxes', 'masks'}, True),
    ],
)
def test_declarations_follow_from_the_parts(parts, produces, differentiable):
    generator = PROMPT_GENERATORS.build(compose(*parts))
    assert generator.produces == produces
    assert generator.differentiable is differentiable


def test_a_slot_is_valid_where_all_parts_say_so():
    cfg = dict(
        type='ComposePrompts',
        generators=[dict(type='MaskPrompt', threshold=0.9), dict(type='MomentBox')],
    )
    assert prompts_of(cfg, torch.tensor([0.8, 0.95]).logit().view(2, 1, 1, 1)).valid.tolist() == [[False], [True]]


@pytest.mark.parametrize('parts, message', [((), 'empty'), (('MomentBox', 'ThresholdBox'), r"\['boxes'\]")])
def test_parts_that_cannot_go_together_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        PROMPT_GENERATORS.build(compose(*parts))
