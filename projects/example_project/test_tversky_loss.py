"""The example keeps the contract, and is Dice where both errors weigh the same."""

import pytest
import torch
import tversky_loss  # noqa: F401  registers the class

from ultrarefiner.registry import STAGE_LOSSES
from ultrarefiner.structures import SegOutput, StageTarget
from ultrarefiner.testing import check_loss


def test_contract():
    check_loss(dict(type='StageTversky', stage='refined'))


def cost(found: int, alpha: float) -> float:
    """Of the first ``found`` pixels of a row of 20, where the first 10 are the object."""
    label = (torch.arange(20) < 10).long()[None]
    logits = torch.where(torch.arange(20) < found, 50.0, -50.0)[None, None, None]
    loss = STAGE_LOSSES.build(dict(type='StageTversky', stage='coarse', alpha=alpha))
    return float(loss.per_image(SegOutput(logits), StageTarget([label], num_slots=1)))


def test_values_by_hand():
    assert cost(6, alpha=0.3) == pytest.approx(1 - 7 / (6 + 0.7 * 4 + 1))  # four misses
    assert cost(14, alpha=0.3) == pytest.approx(1 - 11 / (10 + 0.3 * 4 + 1))  # four false alarms
    assert cost(6, alpha=0.3) > cost(6, alpha=0.5)
