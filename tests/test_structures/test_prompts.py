"""Prompts: shapes are checked when they are made, and two generators' prompts merge."""

import pytest
import torch

from ultrarefiner.structures import Prompts


def points(n=2, k=1, p=1, value=0.5):
    return dict(points=torch.full((n, k, p, 2), value), point_labels=torch.ones(n, k, p, dtype=torch.int64))


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(boxes=torch.zeros(2, 1, 3)), r'Prompts.boxes has shape \(2, 1, 3\), expected \(N, K, 4\)'),
        (dict(masks=torch.zeros(2, 8, 8)), r'expected \(N, K, h, w\)'),
        (dict(points=torch.zeros(2, 1, 1, 2)), 'come together'),
        (dict(**points(2, 1, 3), boxes=torch.zeros(2, 2, 4)), r'\(N, K\) differ'),
        (dict(points=torch.zeros(2, 1, 3, 2), point_labels=torch.zeros(2, 1, 2)), 'disagree'),
        (dict(valid=torch.ones(2)), r'expected \(N, K\)'),
    ],
)
def test_wrong_shapes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Prompts(**wrong)


def test_merge_joins_points_and_takes_both_kinds():
    first = Prompts(**points(value=0.2), valid=torch.tensor([[True], [False]]))
    second = Prompts(**points(value=0.7), boxes=torch.zeros(2, 1, 4), valid=torch.tensor([[True], [True]]))
    merged = first | second
    assert merged.points[0, 0, :, 0].tolist() == pytest.approx([0.2, 0.7])
    assert merged.kinds == {'points', 'boxes'}
    assert merged.valid.tolist() == [[True], [False]]


def test_merge_refuses_two_boxes_for_a_slot():
    boxes = Prompts(boxes=torch.zeros(1, 1, 4))
    with pytest.raises(ValueError, match='both sides bring boxes'):
        boxes | boxes


def test_slicing_and_keeping_kinds():
    prompts = Prompts(**points(n=3), masks=torch.arange(3.0).view(3, 1, 1, 1))
    one = prompts[1:2]
    assert one.masks.item() == 1 and one.points.shape[0] == 1
    kept = prompts.keep(frozenset({'masks'}))
    assert kept.kinds == {'masks'} and kept.point_labels is None
