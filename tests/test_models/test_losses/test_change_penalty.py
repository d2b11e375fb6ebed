import pytest
import torch

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, Stages, StageTarget

LABEL = [[1, 1, 1, 1], [0, 0, 0, 255]]


def logits_of(probability):
    return torch.tensor(probability).logit(eps=1e-7)[None, None].requires_grad_()


def penalty(coarse, refined, label=LABEL, **arguments):
    loss = STAGE_LOSSES.build(dict(type='ChangePenalty', **arguments))
    return loss(Stages(SegOutput(coarse), None, SegOutput(refined)), StageTarget([torch.tensor(label)], 1))


def test_by_hand():
    # The coarse mask misses one pixel of four, Dice 2 * 3 / (3 + 4) = 6/7, which is 9/14 of the way from 0.6 to 1.
    coarse = logits_of([[0.9, 0.8, 0.7, 0.2], [0.1, 0.4, 0.1, 0.9]])
    # Spoilt: 0.9 to 0.4, and 0.1 to 0.3 outside; better: 0.8 to 0.95, 0.4 to 0.2; wrong before: 0.2 to 0.1.
    refined = logits_of([[0.4, 0.95, 0.7, 0.1], [0.3, 0.2, 0.1, 0.2]])
    assert penalty(coarse, refined).item() == pytest.approx(9 / 14 * (0.5 + 0.2) / 7)
    assert penalty(coarse, refined, floor=0.0).item() == pytest.approx(6 / 7 * (0.5 + 0.2) / 7)
    assert penalty(coarse, refined, floor=0.9).item() == 0


def test_becoming_surer_is_free():
    coarse = logits_of([[0.7, 0.7, 0.7, 0.7], [0.3, 0.3, 0.3, 0.3]])
    assert penalty(coarse, 3 * coarse).item() == 0
    assert penalty(coarse, 0.3 * coarse).item() > 0


def test_an_empty_mask_that_was_right_is_worth_keeping():
    empty = logits_of([[0.1] * 4] * 2)
    assert penalty(empty, -empty, label=[[0] * 4] * 2).item() == pytest.approx(0.9 - 0.1)


def test_only_the_refined_stage_learns():
    coarse, refined = logits_of([[0.9, 0.8, 0.7, 0.8], [0.1] * 4]), logits_of([[0.4, 0.95, 0.7, 0.1], [0.3] * 4])
    penalty(coarse, refined).backward()
    assert coarse.grad is None
    # Spoilt pixels alone; pushed back towards the truth.
    assert refined.grad[0, 0].sign().tolist() == [[-1, 0, 0, -1], [1, 1, 1, 0]]


def test_a_coarse_mask_of_another_size_is_compared_at_the_size_of_the_refined():
    coarse = torch.tensor([[[[6.0, -6.0], [6.0, -6.0]]]])
    refined = torch.nn.functional.interpolate(coarse, size=(8, 8), mode='bilinear', align_corners=False)
    label = [[1] * 4 + [0] * 4] * 8
    assert penalty(coarse, refined, label=label).item() == 0
    assert penalty(coarse, -refined, label=label).item() > 0.5


@pytest.mark.parametrize('arguments, message', [(dict(stage='coarse'), "'coarse', expected"), (dict(floor=1), 'is 1')])
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        STAGE_LOSSES.build(dict(type='ChangePenalty', **arguments))


def test_one_stage_alone_is_no_change():
    loss = STAGE_LOSSES.build(dict(type='ChangePenalty'))
    with pytest.raises(NotImplementedError, match='call per_image_of'):
        loss.per_image(SegOutput(torch.zeros(1, 1, 2, 2)), None)
