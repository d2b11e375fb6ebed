"""Every coarse network of the configs can be one; each promise has a network that breaks it, and is caught."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import BaseSegmentor
from torch import nn

from ultrarefiner.testing import ContractError, check_coarse

FRAGMENTS = sorted((Path(__file__).resolve().parents[2] / 'configs/_base_/models').glob('coarse_*.py'))
SMALL = [path for path in FRAGMENTS if path.stem.endswith('small')]
GREY = dict(size=(96, 96), grey=True)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)


@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_a_small_network_of_the_configs_passes(path):
    check_coarse(Config.fromfile(path).coarse, GREY)


@pytest.mark.slow
@pytest.mark.parametrize('path', [path for path in FRAGMENTS if path not in SMALL], ids=lambda path: path.stem)
def test_a_full_size_network_of_the_configs_passes(path):
    cfg = Config.fromfile(path).coarse
    cfg.backbone.init_cfg = None
    check_coarse(cfg, dict(size=cfg.backbone.img_size, grey=True))


@pytest.mark.parametrize('num_slots', [1, 3])
def test_stored_predictions_pass(num_slots):
    check_coarse(dict(type='PrecomputedCoarse', num_slots=num_slots), GREY)


class ToyCoarse(BaseSegmentor):
    """Two convolutions, three classes."""

    out_channels = 3

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))

    def _forward(self, inputs, data_samples=None):
        return self.net(inputs)

    extract_feat = encode_decode = loss = predict = _forward


class Unnumbered(ToyCoarse):
    out_channels = None


class OtherNumber(ToyCoarse):
    out_channels = 2


class ListOfLogits(ToyCoarse):
    def _forward(self, inputs, data_samples=None):
        return [self.net(inputs)]


class Infinite(ToyCoarse):
    def _forward(self, inputs, data_samples=None):
        return self.net(inputs) / 0


class AcrossImages(ToyCoarse):
    def _forward(self, inputs, data_samples=None):
        return self.net(inputs - inputs.mean())


class Noisy(ToyCoarse):
    def _forward(self, inputs, data_samples=None):
        return nn.functional.dropout(self.net(inputs))


class SilentWeight(ToyCoarse):
    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)


class PooledNorm(ToyCoarse):
    """As the image pooling of DeepLabV3+ with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def _forward(self, inputs, data_samples=None):
        logits = self.net(inputs)
        return logits + self.norm(logits.mean(dim=(2, 3), keepdim=True))


class HalfOverflow(ToyCoarse):
    def _forward(self, inputs, data_samples=None):
        logits = self.net(inputs)
        return logits / (logits.dtype == torch.float32)


def check(network, grey=True):
    check_coarse(dict(type=network), dict(size=(32, 32), grey=grey))


def test_a_sound_network_passes():
    check(ToyCoarse)


@pytest.mark.parametrize(
    'network, promise',
    [
        (Unnumbered, 'out_channels'),
        (OtherNumber, "logits of mode='tensor'"),
        (ListOfLogits, "logits of mode='tensor'"),
        (Infinite, 'finite logits'),
        (AcrossImages, 'batch equals its images one by one'),
        (Noisy, 'evaluation is deterministic'),
        (SilentWeight, 'gradient, batch of 1'),
        (PooledNorm, 'gradient, batch of 1'),
        (HalfOverflow, 'bfloat16 autocast'),
    ],
)
def test_a_broken_promise_is_caught(network, promise):
    with pytest.raises(ContractError) as error:
        check(network)
    assert error.value.promise == promise


def test_channels_that_do_not_fit_the_input_are_caught_with_the_remedy():
    with pytest.raises(ContractError, match=r'for 3 channel\(s\) of \(32, 32\) pixels.*in_channels=1 where grey=True'):
        check(ToyCoarse, grey=False)
