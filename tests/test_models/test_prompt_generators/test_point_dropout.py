import pytest
import torch
from prompt_shapes import logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput

POINTS = dict(type='GridPoints')
MANY = logits_of(rectangle((16, 16), 4, 4, 12, 12)).expand(500, 2, -1, -1)


def dropout(generator=POINTS, **arguments):
    return PROMPT_GENERATORS.build(dict(type='PointDropout', generator=generator, **arguments)).train()


def labels_of(generator, logits=MANY, seed=0):
    torch.manual_seed(seed)
    return generator(SegOutput(logits), []).point_labels


def test_evaluation_changes_nothing():
    assert torch.equal(labels_of(dropout(probability=0.9).eval()), prompts_of(POINTS, MANY).point_labels)


def test_points_are_lost_one_by_one_with_the_probability():
    labels = labels_of(dropout(probability=0.2))
    assert set(labels.unique().tolist()) == {-1, 1}
    lost = (labels == -1).float().mean(dim=(0, 1))  # Of 1000 draws a point: a standard deviation of 0.013.
    torch.testing.assert_close(lost, torch.full((4,), 0.2), atol=0.05, rtol=0)


def test_points_stay_where_they_are():
    generator = dropout(probability=0.5)
    assert torch.equal(generator(SegOutput(MANY), []).points, prompts_of(POINTS, MANY).points)


def test_a_slot_keeps_a_point():
    labels = labels_of(dropout(probability=0.9))
    kept = (labels == 1).sum(dim=-1)
    assert int(kept.min()) >= 1 and int(kept.max()) == 4


def test_a_padding_point_does_not_count_as_one_that_is_kept():
    """Two lesions on the diagonal: two of the four points are padding from the start."""
    mask = rectangle((32, 32), 4, 4, 12, 12) + rectangle((32, 32), 20, 20, 28, 28)
    labels = labels_of(dropout(probability=0.9), logits_of(mask).expand(50, 1, -1, -1))
    assert bool((labels[..., 1:3] == -1).all())
    assert bool((labels == 1).any(dim=-1).all())


def test_the_same_seed_gives_the_same_draws():
    first, second, other = (labels_of(dropout(), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(probability=1.0), 'probability'), (dict(generator=dict(type='MomentBox')), 'MomentBox')],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        dropout(**arguments)
