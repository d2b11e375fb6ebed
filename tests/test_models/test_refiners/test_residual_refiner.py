"""ResidualRefiner: the sum by hand, the coarse mask at scale 0, where gradient goes, what a loss on quality sees."""

import math

import pytest
import torch
from mmengine.registry import init_default_scope
from sam_makers import random_image, random_prompts, tiny_refiner
from spy_refiner import SpyRefiner, disc_logits

from ultrarefiner.models.losses import PredictedIoUMSE
from ultrarefiner.models.refiners import ResidualRefiner
from ultrarefiner.structures import SegOutput, StageTarget


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def decode(refiner, coarse, size=(32, 32)):
    images = [random_image(32, 32, seed) for seed in range(len(coarse))]
    return refiner(images, SegOutput(coarse), random_prompts(*coarse.shape[:2]), size)


def test_the_sum_by_hand():
    refiner = ResidualRefiner(SpyRefiner(logit=7.0), scale=0.5, limit=4.0)
    output = decode(refiner, torch.tensor([2.0, -100.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16))
    expected = torch.tensor([4 * math.tanh(0.5) + 3.5, -4 + 3.5])
    torch.testing.assert_close(output.logits, expected.view(1, 2, 1, 1).expand(1, 2, 32, 32))
    torch.testing.assert_close(output.candidates, expected.view(1, 2, 1, 1, 1).expand(1, 2, 1, 16, 16))


def test_every_candidate_is_added_to_the_coarse_logits_of_its_own_slot():
    held = tiny_refiner()
    coarse = torch.cat([disc_logits((32, 32), (10, 9), 5), disc_logits((32, 32), (20, 24), 7)], dim=1)
    output, change = (decode(refiner, coarse) for refiner in (ResidualRefiner(held, scale=2.0, limit=1e6), held))
    assert output.candidates.shape == change.candidates.shape and output.candidates.shape[2] == 3
    kept = torch.nn.functional.interpolate(coarse, output.candidates.shape[-2:], mode='bilinear')
    torch.testing.assert_close(output.candidates, kept[:, :, None] + 2 * change.candidates, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.logits, coarse + 2 * change.logits, atol=1e-5, rtol=1e-5)


def test_at_scale_0_the_mask_is_the_coarse_one_however_sure_that_is():
    coarse = disc_logits((32, 32), (14, 17), 8, inside=1e4)
    output = decode(ResidualRefiner(tiny_refiner(), scale=0.0), coarse)
    assert torch.equal(output.logits > 0, coarse > 0) and output.logits.abs().max() <= 5


def test_gradient_reaches_the_coarse_logits_the_refiner_and_the_scale():
    refiner = ResidualRefiner(tiny_refiner())
    refiner.freeze_unused(frozenset({'masks'}), quality_used=False)
    coarse = disc_logits((32, 32), (14, 17), 8).requires_grad_()
    images, prompts = [random_image(32, 32)], random_prompts(1, kinds=('masks',))
    refiner.train()(images, SegOutput(coarse), prompts, (32, 32)).logits.square().mean().backward()
    assert (coarse.grad != 0).all()
    trained = {name for name, weight in refiner.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in refiner.named_parameters() if weight.requires_grad}
    assert {'scale', 'refiner.mask_decoder.mask_tokens.weight'} < trained


def test_a_loss_on_the_quality_judges_what_comes_out():
    """The held mask covers the image, IoU 0.5 with the truth; with the coarse logits it is exact, IoU 1."""
    coarse = torch.tensor([9.0] * 16 + [-9.0] * 16).expand(1, 1, 32, 32)
    output = decode(ResidualRefiner(SpyRefiner(logit=7.0), scale=0.1), coarse)
    label = (coarse[0, 0] > 0).long()
    # The spy predicts 0.5 for its mask and for its candidate.
    loss = PredictedIoUMSE(stage='refined').per_image(output, StageTarget([label], 1))
    assert loss.item() == pytest.approx(0.25)


def test_half_precision_is_added_in_full():
    refiner = ResidualRefiner(SpyRefiner(logit=0.001), scale=1.0, limit=1e4)
    output = decode(refiner, torch.full((1, 1, 16, 16), 4.0).bfloat16())
    assert output.logits.dtype == torch.float32 and output.logits[0, 0, 0, 0].item() == pytest.approx(4.001, abs=1e-5)


def test_a_limit_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r'limit is 0\.0, expected a positive logit'):
        ResidualRefiner(SpyRefiner(), limit=0.0)
