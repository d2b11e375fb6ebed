import pytest
import torch

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget


def dice(probability, labels, num_slots=1, **arguments):
    loss = STAGE_LOSSES.build(dict(type='StageDice', stage='coarse', **arguments))
    logits = torch.tensor(probability).logit(eps=1e-7)
    return loss.per_image(SegOutput(logits), StageTarget([torch.tensor(label) for label in labels], num_slots)).tolist()


def test_by_hand():
    probability, labels = [[[[0.5, 0.25, 0.0, 1.0]]]], [[[1, 0, 1, 1]]]
    # Overlap 0.5 + 0 + 1 = 1.5; sum of p 1.75, of p^2 0.25 + 0.0625 + 1; 3 pixels of truth.
    assert dice(probability, labels) == pytest.approx([1 - (3 + 1) / (1.75 + 3 + 1)])
    assert dice(probability, labels, exponent=2.0, smooth=0.5) == pytest.approx([1 - 3.5 / (1.3125 + 3 + 0.5)])


def test_ignored_pixels_do_not_count():
    assert dice([[[[0.5, 0.9, 0.9]]]], [[[1, 255, 255]]]) == pytest.approx(dice([[[[0.5]]]], [[[1]]]))


def test_slots_are_averaged_and_images_are_kept_apart():
    both = dice([[[[1.0, 0.0]], [[0.0, 1.0]]], [[[0.0, 1.0]], [[0.0, 1.0]]]], [[[1, 2]], [[1, 2]]], num_slots=2)
    assert both == pytest.approx([0, (1 - 1 / 3) / 2], abs=1e-5)


def test_an_image_without_an_object_wants_an_empty_mask():
    empty, speck, full = dice(
        [[[[0.0] * 4] * 4], [[[1.0] + [0.0] * 3] + [[0.0] * 4] * 3], [[[1.0] * 4] * 4]], [[[0] * 4] * 4] * 3
    )
    assert empty == pytest.approx(0, abs=1e-5)
    assert empty < speck == pytest.approx(0.5, abs=1e-5)
    assert speck < full == pytest.approx(16 / 17, abs=1e-5)


def test_smooth_orders_hard_masks_as_its_docstring_says():
    labels = torch.zeros(1, 64, 64, dtype=torch.long)
    labels[:, 8:40, 8:40] = 1
    hard = torch.where(labels[:, None] == 1, 1e4, -1e4)
    for smooth, ordered in ((1.0, True), (1e-5, False)):
        loss = STAGE_LOSSES.build(dict(type='StageDice', stage='coarse', smooth=smooth))
        perfect, empty, inverted = (
            float(loss.per_image(SegOutput(logits), StageTarget(list(labels), 1)))
            for logits in (hard, torch.full_like(hard, -1e4), -hard)
        )
        assert perfect < empty and (empty < inverted) is ordered


@pytest.mark.parametrize('arguments', [dict(smooth=0.0), dict(exponent=0.5)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        STAGE_LOSSES.build(dict(type='StageDice', stage='coarse', **arguments))
