"""coarse_gradient_scale: the refined loss reaches the coarse weights scaled, the coarse loss as it is."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.registry import MODELS

PROMPTS = dict(
    type='ComposePrompts',
    generators=[dict(type='SoftArgmaxPoint'), dict(type='MomentBox'), dict(type='MaskPrompt')],
)


@pytest.fixture(scope='module')
def gradients(small_parts):
    """(stage, scale) -> the loss, and its gradient on all coarse weights in one vector; None without one."""
    init_default_scope('ultrarefiner')
    image = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    truth = torch.zeros(1, 40, 40, dtype=torch.long)
    truth[:, 10:30, 8:24] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=truth))

    def measure(stage, scale):
        cfg = copy.deepcopy(small_parts)
        loss = dict(type='StageBCE', stage=stage)
        cfg.update(prompt_generator=PROMPTS, losses=[loss], coarse_gradient_scale=scale)
        torch.manual_seed(0)
        model = MODELS.build(cfg).eval()
        with torch.no_grad():
            model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))  # else there is nothing to refine
        (value,) = model.loss([image], [sample]).values()
        found = torch.autograd.grad(value, list(model.coarse.parameters()), allow_unused=True)
        found = [gradient.flatten() for gradient in found if gradient is not None]
        return value.detach(), torch.cat(found) if found else None

    return {(stage, scale): measure(stage, scale) for stage in ('coarse', 'refined') for scale in (1.0, 0.25, 0.0)}


@pytest.mark.parametrize('scale', [0.25, 0.0])
def test_the_losses_stay_as_they_are(gradients, scale):
    for stage in ('coarse', 'refined'):
        torch.testing.assert_close(gradients[stage, scale][0], gradients[stage, 1.0][0])


def test_the_gradient_of_the_refined_loss_is_scaled(gradients):
    whole, quarter = gradients['refined', 1.0][1], gradients['refined', 0.25][1]
    assert whole.norm() > 1e-6
    torch.testing.assert_close(quarter, 0.25 * whole, rtol=1e-3, atol=1e-9)


def test_that_of_the_coarse_loss_is_not(gradients):
    assert gradients['coarse', 1.0][1].norm() > 1e-6
    for scale in (0.25, 0.0):
        assert torch.equal(gradients['coarse', scale][1], gradients['coarse', 1.0][1])


def test_zero_cuts(gradients):
    assert gradients['refined', 0.0][1] is None


def test_a_scale_out_of_range_is_refused(small_parts):
    init_default_scope('ultrarefiner')
    with pytest.raises(ValueError, match=r'coarse_gradient_scale is 2, expected a number in \[0, 1\]'):
        MODELS.build(dict(small_parts, prompt_generator=PROMPTS, coarse_gradient_scale=2))
