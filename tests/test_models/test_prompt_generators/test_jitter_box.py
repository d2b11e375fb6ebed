import pytest
import torch
from prompt_shapes import logits_of, prompts_of, rectangle

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput


def boxes_of(generator, logits, seed=0):
    torch.manual_seed(seed)
    return generator(SegOutput(logits), []).boxes


def jitter(**arguments):
    return PROMPT_GENERATORS.build(dict(type='JitterBox', **arguments)).train()


def upright():
    """A box of half the width and a quarter of the height."""
    return logits_of(rectangle((64, 64), 16, 16, 48, 32), inside=0.9)


def test_evaluation_is_the_box_itself():
    logits = upright()
    expected = prompts_of(dict(type='MomentBox'), logits).boxes
    assert torch.equal(boxes_of(jitter().eval(), logits), expected)
    assert not torch.equal(boxes_of(jitter(), logits), expected)


def test_noise_has_the_standard_deviation_of_the_side():
    logits = upright().expand(4000, -1, -1, -1)
    box = dict(type='ThresholdBox')
    noise = boxes_of(jitter(box=box, limit=1.0), logits) - prompts_of(box, logits).boxes
    std = noise.std(dim=0)[0]
    torch.testing.assert_close(std, torch.tensor([0.05, 0.025, 0.05, 0.025]), rtol=0.05, atol=0)
    assert float(noise.mean(dim=0).abs().max()) < 0.003
    correlation = torch.corrcoef(noise[:, 0].T) - torch.eye(4)
    assert float(correlation.abs().max()) < 0.07


def test_noise_is_at_most_the_limit():
    logits = upright().expand(500, -1, -1, -1)
    box = dict(type='ThresholdBox')
    moved = (boxes_of(jitter(box=box), logits) - prompts_of(box, logits).boxes).abs()
    assert float(moved.max()) == pytest.approx(20 / 1024, abs=1e-6)


def test_the_same_seed_gives_the_same_noise():
    generator, logits = jitter(), upright()
    first, second, other = (boxes_of(generator, logits, seed) for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_boxes_stay_ordered_and_in_the_image():
    logits = torch.cat([upright(), logits_of(torch.ones(64, 64)), logits_of(rectangle((64, 64), 63, 0, 64, 1))])
    for seed in range(50):
        boxes = boxes_of(jitter(std=2.0, limit=1.0), logits, seed)
        x0, y0, x1, y1 = boxes.unbind(dim=-1)
        assert bool(((x0 <= x1) & (y0 <= y1)).all()) and float(boxes.min()) >= 0 and float(boxes.max()) <= 1


def test_an_edge_keeps_the_gradient_of_the_box():
    logits = upright().requires_grad_()
    gradients = [
        torch.autograd.grad(boxes[0, 0, 1], logits)[0]
        for boxes in (boxes_of(jitter(), logits), prompts_of(dict(type='MomentBox'), logits).boxes)
    ]
    assert float(gradients[1].norm()) > 1e-6
    torch.testing.assert_close(*gradients)


def test_an_empty_slot_is_not_shaken():
    logits = torch.full((1, 1, 8, 8), -5.0)
    assert boxes_of(jitter(), logits).tolist() == [[[0, 0, 1, 1]]]


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(std=-0.1), 'std'), (dict(limit=-1), 'limit'), (dict(box=dict(type='MaskPrompt')), 'MaskPrompt')],
)
def test_arguments_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        jitter(**arguments)
