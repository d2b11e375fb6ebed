"""L2Anchor: a known value, its gradient, and where the anchor comes from."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from ultrarefiner.registry import MODELS, REGULARIZERS


class ToyModel(nn.Module):
    def __init__(self, source=None):
        super().__init__()
        self.coarse = nn.Linear(2, 1)
        with torch.no_grad():
            self.coarse.weight.copy_(torch.tensor([[1.0, -2.0]]))
            self.coarse.bias.fill_(3.0)
        self.init_from = dict(coarse=source)


@pytest.fixture
def source(tmp_path):
    """Phase-1 weights: (1.5, -2) and 1."""
    state = {'coarse.weight': torch.tensor([[1.5, -2.0]]), 'coarse.bias': torch.tensor([1.0])}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'best.pth')
    return str(tmp_path / 'best.pth')


def anchor(**arguments):
    return REGULARIZERS.build(dict(type='L2Anchor', **arguments))


def test_by_hand(source):
    model, regularizer = ToyModel(source), anchor(loss_weight=0.1)
    value = regularizer(model)
    assert value.ndim == 0 and value.item() == pytest.approx(0.1 * (0.5**2 + 2**2))
    value.backward()
    assert model.coarse.weight.grad[0].tolist() == pytest.approx([0.1 * 2 * -0.5, 0])
    assert model.coarse.bias.grad.tolist() == pytest.approx([0.1 * 2 * 2])


def test_what_does_not_train_is_left_out_and_comes_back_when_it_is_released(source):
    model, regularizer = ToyModel(source), anchor(loss_weight=1.0)
    model.coarse.bias.requires_grad_(False)
    assert regularizer(model).item() == pytest.approx(0.25)
    model.coarse.bias.requires_grad_(True)
    assert regularizer(model).item() == pytest.approx(4.25)
    model.requires_grad_(False)
    assert regularizer(model).item() == 0


def test_the_anchor_holds_still_while_the_weights_move_and_is_saved_nowhere(source):
    model, regularizer = ToyModel(source), anchor(loss_weight=1.0)
    regularizer(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    for _ in range(20):
        optimizer.zero_grad()
        regularizer(model).backward()
        optimizer.step()
    assert model.coarse.bias.item() == pytest.approx(1.0, abs=1e-4)
    assert not regularizer.state_dict() and not list(regularizer.buffers()) and not list(regularizer.parameters())
    # A resumed run builds anew, with weights that have moved, and reads the same point.
    assert anchor(loss_weight=1.0)(ToyModel(source)).item() == pytest.approx(4.25)


def test_without_a_phase_1_it_says_what_to_do(source):
    with pytest.raises(ValueError, match=r'init_from names no checkpoint for it; set init_from=dict\(coarse=PATH\)'):
        anchor()(ToyModel())
    with pytest.raises(FileNotFoundError, match='none.pth'):
        anchor()(ToyModel('none.pth'))


def test_a_checkpoint_that_lacks_a_weight_that_trains_is_refused(tmp_path):
    torch.save({'coarse.weight': torch.zeros(1, 2)}, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match='bias of the coarse network trains, but the checkpoint'):
        anchor()(ToyModel(str(tmp_path / 'part.pth')))


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='loss_weight is -1'):
        anchor(loss_weight=-1)


def test_the_model_adds_it_and_it_is_zero_where_phase_3_begins(small_parts, tmp_path):
    init_default_scope('ultrarefiner')
    cfg = copy.deepcopy(small_parts)
    cfg.update(refiner=None, refine_size=None)
    path = str(tmp_path / 'coarse.pth')
    torch.save(dict(state_dict=MODELS.build(cfg).state_dict(), meta={}), path)
    model = MODELS.build(dict(cfg, init_from=dict(coarse=path), regularizers=[dict(type='L2Anchor', loss_weight=2.0)]))
    model.init_weights()
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 40, 40, dtype=torch.long)))
    assert model.loss([image], [sample])['loss_L2Anchor'].item() == 0
    weight = next(model.coarse.parameters())
    with torch.no_grad():
        weight += 0.5
    expected = 2.0 * 0.25 * weight.numel()
    assert model.loss([image], [sample])['loss_L2Anchor'].item() == pytest.approx(expected, rel=1e-5)


def test_no_regularizer_is_without_a_test():
    ours = [name for name in REGULARIZERS.names() if MODELS.get(name).__module__.startswith('ultrarefiner.')]
    assert ours == ['L2Anchor']
