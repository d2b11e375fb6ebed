"""Candidate selection: which mask, which score, and where gradient goes."""

import pytest
import torch

from ultrarefiner.models.refiners import ArgmaxSelection, SoftmaxSelection

QUALITY = torch.tensor([[0.2, 0.9, 0.4], [1.3, 0.1, 1.2]])


def candidates():
    return torch.arange(6.0).view(2, 3, 1, 1).expand(2, 3, 4, 5).clone()


def test_argmax_picks_the_best_candidate_of_each_slot():
    mask, quality = ArgmaxSelection()(candidates(), QUALITY)
    assert mask.shape == (2, 4, 5)
    assert mask[:, 0, 0].tolist() == [1.0, 3.0]
    assert quality.tolist() == pytest.approx([0.9, 1.3])


def test_argmax_gives_gradient_to_the_chosen_candidate_alone():
    logits = candidates().requires_grad_()
    ArgmaxSelection()(logits, QUALITY)[0].sum().backward()
    assert logits.grad[:, :, 0, 0].tolist() == [[0, 1, 0], [1, 0, 0]]


def test_softmax_weights_by_hand():
    # Scores ln 2 * temperature apart: weights 1/7, 2/7, 4/7.
    step = 0.1 * torch.log(torch.tensor(2.0))
    scores = (0.5 + step * torch.arange(3.0))[None]
    mask, quality = SoftmaxSelection(temperature=0.1)(torch.tensor([7.0, 14.0, 21.0]).view(1, 3, 1, 1), scores)
    assert mask.item() == pytest.approx((1 * 7 + 2 * 14 + 4 * 21) / 7)
    assert quality.item() == pytest.approx(0.5 + step.item() * (0 * 1 + 1 * 2 + 2 * 4) / 7)


def test_softmax_gives_gradient_to_the_scores_and_nears_argmax_when_cold():
    scores = QUALITY.clone().requires_grad_()
    SoftmaxSelection()(candidates(), scores)[0].sum().backward()
    assert (scores.grad != 0).all()
    cold = SoftmaxSelection(temperature=1e-3)(candidates(), QUALITY)
    torch.testing.assert_close(cold, ArgmaxSelection()(candidates(), QUALITY))


@pytest.mark.parametrize('temperature', [0, -0.1])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=f'temperature is {temperature}'):
        SoftmaxSelection(temperature)
