import math

import pytest
import torch
import torch.nn.functional as F

from ultrarefiner.models.losses.stage_cross_entropy import log_background
from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget
from ultrarefiner.utils.one_vs_rest import one_vs_rest


def cross_entropy(logits, labels):
    loss = STAGE_LOSSES.build(dict(type='StageCrossEntropy', stage='coarse'))
    return loss.per_image(SegOutput(logits), StageTarget(labels, logits.shape[1]))


@pytest.mark.parametrize('scale', [1, 3])
@pytest.mark.parametrize('classes', [2, 3, 4])
def test_equals_the_softmax_cross_entropy(classes, scale):
    generator = torch.Generator().manual_seed(classes)
    softmax_logits = (scale * torch.randn(2, classes, 16, 12, generator=generator)).requires_grad_()
    labels = torch.randint(0, classes, (2, 16, 12), generator=generator)
    ours = cross_entropy(one_vs_rest(softmax_logits), list(labels))
    theirs = F.cross_entropy(softmax_logits, labels, reduction='none').mean(dim=(1, 2))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    gradients = [torch.autograd.grad(values.sum(), softmax_logits)[0] for values in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-4)


def test_equals_it_for_a_sure_network_as_far_as_float32_tells():
    generator = torch.Generator().manual_seed(0)
    softmax_logits = 5 * torch.randn(2, 4, 16, 12, generator=generator)
    labels = torch.randint(0, 4, (2, 16, 12), generator=generator)
    ours = cross_entropy(one_vs_rest(softmax_logits), list(labels))
    theirs = F.cross_entropy(softmax_logits, labels, reduction='none').mean(dim=(1, 2))
    torch.testing.assert_close(ours, theirs, rtol=0.01, atol=0)


def test_mean_is_over_the_counted_pixels():
    logits = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    labels[:, 3:] = 255
    ours = cross_entropy(one_vs_rest(F.pad(logits, (0, 0, 0, 0, 1, 0))), list(labels))
    theirs = F.cross_entropy(F.pad(logits, (0, 0, 0, 0, 1, 0)), labels, ignore_index=255)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-5, atol=1e-6)


def test_an_image_without_a_counted_pixel_costs_nothing():
    assert cross_entropy(torch.ones(1, 1, 4, 4), [torch.full((4, 4), 255)]).tolist() == [0]


@pytest.mark.parametrize(
    'softmax_logits, expected',
    [((0.0, 40.0), -40.0), ((40.0, 0.0), 0.0), ((0.0, 40.0, 3.0), -40.0), ((0.0, 12.0, 11.0), -12.3133)],
)
def test_background_of_a_sure_network(softmax_logits, expected):
    logits = one_vs_rest(torch.tensor(softmax_logits).view(1, -1, 1, 1))
    assert float(log_background(logits)) == pytest.approx(expected, rel=1e-2, abs=1e-6)


def test_background_of_classes_that_are_both_certain_is_low_and_pushes_both_down():
    """Independent sigmoids may add up to more than 1, which no softmax does."""
    logits = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).requires_grad_()
    value = log_background(logits)
    # (1 - p_2) times 1e-6 (1 - p_1).
    expected = F.logsigmoid(torch.tensor(-4.0)) + math.log(1e-6) + F.logsigmoid(torch.tensor(-3.0))
    torch.testing.assert_close(value.flatten()[0], expected)
    value.backward()
    assert bool((logits.grad < -0.9).all())
