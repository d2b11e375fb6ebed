"""The gradient through each prompt: ways that add up, and slopes that finite differences confirm."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import nn

from ultrarefiner.apis.gradient_flow import ALL, GradientFlow
from ultrarefiner.registry import MODELS

PARTS = ('SoftArgmaxPoint', 'MomentBox', 'MaskPrompt')


class SmoothCoarse(BaseSegmentor):
    """Two convolutions without a kink, so that finite differences are exact to the second order."""

    def __init__(self):
        super().__init__()
        self.out_channels, self.one_vs_rest = 1, True
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 1, 5, padding=2))

    def _forward(self, inputs, data_samples=None):
        return self.layers(inputs)

    extract_feat = encode_decode = loss = predict = None


@pytest.fixture
def flow(small_parts):
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)
    cfg = copy.deepcopy(small_parts)
    cfg['prompt_generator'] = dict(
        type='ComposePrompts', generators=[dict(type=name) for name in (*PARTS[:2], 'MaskPrompt')]
    )
    cfg['losses'] = [
        dict(type='StageBCE', stage='refined'),
        dict(type='StageDice', stage='refined'),
        dict(type='StageBCE', stage='coarse'),
    ]
    model = MODELS.build(cfg)
    model.coarse = SmoothCoarse()
    with torch.no_grad():  # position embeddings start at zero, and prompts would hardly count
        for weight in model.refiner.parameters():
            weight.add_(0.4 * torch.randn_like(weight))
    disc = ((torch.linspace(-1, 1, 40) - 0.2) ** 2 + torch.linspace(-1, 1, 32)[:, None] ** 2) < 0.2
    image = (60 + 100 * disc + 20 * torch.rand(3, 32, 40)).to(torch.uint8)
    sample = SegDataSample(gt_sem_seg=PixelData(data=disc.long()[None]))
    return GradientFlow(model.train(), [image], [sample], as_if_found=True)


def test_the_ways_add_up_to_the_whole(flow):
    whole, *ways = flow.measure()
    assert (whole.way, [way.way for way in ways]) == (ALL, list(PARTS))
    # Projected on the whole gradient, the parts of a sum add up to its length.
    assert sum(way.norm * way.cosine_all for way in ways) == pytest.approx(whole.norm, rel=1e-3)
    assert whole.cosine_all == pytest.approx(1) and all(way.norm > 0 for way in ways)


def test_finite_differences_confirm_the_slopes(flow):
    for way in flow.measure(steps=(0.1, 0.02)):
        far, near = way.slopes
        assert near == pytest.approx(way.norm, rel=0.02), way.way
        assert abs(near - way.norm) < abs(far - way.norm)


def test_weights_are_as_they_were(flow):
    before = [weight.clone() for weight in flow.weights]
    flow.measure(steps=(0.02,))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(before, flow.weights))


def test_a_hard_box_lets_nothing_through(flow):
    flow.model.prompt_generator.generators[1] = MODELS.build(dict(type='ThresholdBox'))
    flow.__init__(flow.model, flow.images, flow.samples, as_if_found=True)
    by_way = {way.way: way for way in flow.measure(steps=(0.02,))}
    assert by_way['ThresholdBox'].norm == 0 == by_way['ThresholdBox'].slopes[0]
    assert by_way['MaskPrompt'].norm > 0


def test_opposed_losses_have_a_negative_cosine(flow):
    before = flow.measure()[0].cosine_coarse
    flow._coarse_loss = lambda own=flow._coarse_loss: -own()
    assert flow.measure()[0].cosine_coarse == pytest.approx(-before, abs=1e-6) != 0
