import math

import pytest
import torch

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget


def boundary(logits, labels, num_slots=1):
    loss = STAGE_LOSSES.build(dict(type='StageBoundary', stage='refined'))
    return loss.per_image(SegOutput(logits), StageTarget([torch.tensor(label) for label in labels], num_slots))


def test_by_hand_an_error_costs_its_distance():
    probability = torch.tensor([[[[0.1, 0.0, 0.8, 0.5]]]])
    # Distances to the border between the second and the third pixel: 1.5, 0.5, -0.5, -1.5; errors 0.1, 0, -0.2, -0.5.
    expected = (1.5 * 0.1 + 0.5 * 0.2 + 1.5 * 0.5) / 4 / math.hypot(1, 4)
    assert boundary(probability.logit(), [[[0, 0, 1, 1]]]).tolist() == pytest.approx([expected])
    ignored = boundary(probability.logit(), [[[0, 0, 1, 255]]])
    # The pixel that does not count is outside: a border beside it, half a pixel from the third.
    assert ignored.tolist() == pytest.approx([(1.5 * 0.1 + 0.5 * 0.2) / 3 / math.hypot(1, 4)])


def test_it_is_the_formula_of_the_paper_up_to_a_constant():
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(12, 16, dtype=torch.long)
    label[3:9, 4:11] = 1
    target = StageTarget([label], 1)
    loss = STAGE_LOSSES.build(dict(type='StageBoundary', stage='refined'))
    differences, gradients = [], []
    for _ in range(2):
        logits = torch.randn(1, 1, 12, 16, generator=generator, requires_grad=True)
        paper = (target.signed_distance((12, 16)) * logits.sigmoid()).mean()
        ours = loss.per_image(SegOutput(logits), target).sum()
        differences.append((ours - paper).item())
        gradients.append([torch.autograd.grad(value, logits)[0] for value in (ours, paper)])
    assert differences[0] == pytest.approx(differences[1], abs=1e-6) and differences[0] > 0.001
    for ours, paper in gradients:
        torch.testing.assert_close(ours, paper)


def test_a_speck_costs_more_the_farther_it_is():
    label = [[1, 1] + [0] * 8] * 4
    costs = []
    for column in (2, 5, 9):
        logits = torch.full((1, 1, 4, 10), -20.0)
        logits[..., :2] = 20.0
        logits[..., 0, column] = 20.0
        costs.append(boundary(logits, [label]).item())
    # From the border at 2: to the centres of the third, the sixth and the tenth column.
    assert [cost / costs[0] for cost in costs] == pytest.approx([1, 7, 15], rel=1e-4)


def test_without_an_object_any_mask_costs_its_area():
    logits = torch.tensor([[[[-30.0, 30.0], [30.0, 30.0]]]])
    assert boundary(logits, [[[0, 0], [0, 0]]]).tolist() == pytest.approx([0.75])
