import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of

from ultrarefiner.registry import PROMPT_GENERATORS


def test_value_is_hard_and_gradient_is_soft():
    logits = logits_of(ellipse((64, 64), (0.4, 0.6), (0.2, 0.1)), 0.01, 0.97).requires_grad_()
    boxes, gradients = {}, {}
    for name in ('StraightThroughBox', 'MomentBox', 'ThresholdBox'):
        boxes[name] = prompts_of(dict(type=name), logits).boxes
        if boxes[name].requires_grad:
            (gradients[name],) = torch.autograd.grad(boxes[name][0, 0, 1], logits)
    assert torch.equal(boxes['StraightThroughBox'], boxes['ThresholdBox'])
    assert torch.equal(gradients['StraightThroughBox'], gradients['MomentBox'])
    assert float(gradients['MomentBox'].norm()) > 1e-4


@pytest.mark.parametrize('soft', ['ThresholdBox', 'SoftArgmaxPoint'])
def test_a_soft_part_without_gradient_or_boxes_is_refused(soft):
    with pytest.raises(ValueError, match=soft):
        PROMPT_GENERATORS.build(dict(type='StraightThroughBox', soft=dict(type=soft)))
