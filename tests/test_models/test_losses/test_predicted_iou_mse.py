import pytest
import torch

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget

LABEL = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 255]])
SELECTED = torch.tensor([[3.0, -1.0, 0.5, -2.0], [-1.0, -1.0, -1.0, 9.0]])  # 1 of 3 pixels right, IoU 1/3
EXACT = torch.tensor([[1.0, 1.0, -1.0, -1.0], [-1.0, -1.0, -1.0, -1.0]])  # IoU 1


def loss_of(output, label=LABEL):
    loss = STAGE_LOSSES.build(dict(type='PredictedIoUMSE', stage='refined'))
    return loss.per_image(output, StageTarget([label], 1))


def test_by_hand_the_selected_mask_alone():
    output = SegOutput(SELECTED[None, None], torch.tensor([[0.5]]))
    assert loss_of(output).tolist() == pytest.approx([(0.5 - 1 / 3) ** 2])


def test_by_hand_with_candidates():
    candidates = torch.stack([SELECTED, EXACT])[None, None]
    output = SegOutput(SELECTED[None, None], torch.tensor([[0.5]]), candidates, torch.tensor([[[0.5, 0.9]]]))
    expected = (2 * (0.5 - 1 / 3) ** 2 + (0.9 - 1) ** 2) / 3
    assert loss_of(output).tolist() == pytest.approx([expected])


def test_two_empty_masks_agree():
    output = SegOutput(-torch.ones(1, 1, 2, 4), torch.tensor([[0.8]]))
    assert loss_of(output, torch.zeros(2, 4, dtype=torch.long)).tolist() == pytest.approx([0.04])


def test_only_the_prediction_learns():
    logits = SELECTED[None, None].clone().requires_grad_()
    quality = torch.tensor([[0.5]], requires_grad=True)
    loss_of(SegOutput(logits, quality)).sum().backward()
    assert logits.grad is None
    assert quality.grad.item() == pytest.approx(2 * (0.5 - 1 / 3))


def test_a_stage_without_a_predicted_iou_is_refused():
    with pytest.raises(ValueError, match="'refined' gives no predicted IoU"):
        loss_of(SegOutput(SELECTED[None, None]))
