"""The letterbox: where prompts land in SAM's frame, and how its masks come back to the image."""

import pytest
import torch
from sam_makers import coarse, random_image, random_prompts, tiny_refiner

from ultrarefiner.models.refiners.sam_prompts import PADDING_LOGIT, crop_masks, pad_masks, to_pixel_index


def test_normalised_coordinates_become_pixel_indices_of_the_covered_part():
    content = torch.tensor([[48, 64], [64, 32]])  # height, width
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]]).expand(2, 1, 3, 2)
    expected = torch.tensor(
        [[[[-0.5, -0.5], [63.5, 47.5], [31.5, 11.5]]], [[[-0.5, -0.5], [31.5, 63.5], [15.5, 15.5]]]]
    )
    torch.testing.assert_close(to_pixel_index(corners, content), expected)


def test_mask_prompt_fills_the_covered_part_and_says_background_elsewhere():
    encoder = tiny_refiner().prompt_encoder
    mask = torch.randn(1, 2, 24, 32)
    padded = pad_masks(mask, torch.tensor([[48, 64]]), encoder)
    torch.testing.assert_close(padded[:, :, :24], mask, atol=1e-5, rtol=0)
    assert (padded[:, :, 24:] == PADDING_LOGIT).all()


@pytest.mark.parametrize('content', [(64, 64), (48, 64), (64, 20)], ids=str)
def test_a_mask_comes_back_from_the_letterbox(content):
    encoder = tiny_refiner().prompt_encoder
    y, x = torch.meshgrid(*[(torch.arange(32) + 0.5) / 32] * 2, indexing='ij')
    ramp = (3 * x - 2 * y)[None, None]
    content = torch.tensor([content])
    back = crop_masks(pad_masks(ramp, content, encoder), content, encoder)
    # Next to the padding and the border bilinear sampling has nothing to go on.
    torch.testing.assert_close(back[..., 3:-3, 3:-3], ramp[..., 3:-3, 3:-3], atol=1e-4, rtol=0)


def test_what_lies_in_the_padding_does_not_reach_the_candidates():
    refiner = tiny_refiner()
    low_res = torch.zeros(1, 1, 32, 32)
    low_res[..., 16:] = 100.0
    cropped = crop_masks(low_res, torch.tensor([[64, 30]]), refiner.prompt_encoder)
    assert cropped.abs().max() == 0


@pytest.mark.parametrize('content', [(48, 64), (64, 20)], ids=str)
def test_half_precision_rounds_the_values_of_a_mask_and_not_its_pixel_positions(content):
    # With 256 pixels a side, as in SAM: 128.5 is no bfloat16 number.
    encoder, content = tiny_refiner().prompt_encoder, torch.tensor([content])
    masks = (10 * torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))).bfloat16()
    exact = crop_masks(masks.float(), content, encoder)
    with torch.autocast('cpu', torch.bfloat16):
        cropped = crop_masks(masks, content, encoder)
    torch.testing.assert_close(cropped.float(), exact, atol=0, rtol=2**-8)


def test_half_precision_keeps_the_position_encoding_exact():
    refiner = tiny_refiner()
    seen = []
    refiner.mask_decoder.transformer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    with torch.autocast('cpu', torch.bfloat16):
        refiner([random_image(40, 60)], coarse(1), random_prompts(1), (32, 32))
    assert torch.equal(seen[0], refiner.prompt_encoder.get_dense_pe())


@pytest.mark.parametrize('kind', ['points', 'boxes', 'masks'])
def test_gradient_reaches_each_kind_of_prompt_alone(kind):
    refiner = tiny_refiner(encoder='frozen')
    prompts = random_prompts(2, 2, (kind,))
    value = getattr(prompts, kind).requires_grad_()
    output = refiner([random_image(40, 60), random_image(60, 40)], coarse(2, 2), prompts, (32, 32))
    (gradient,) = torch.autograd.grad(output.logits.square().sum(), value)
    per_slot = gradient.flatten(2).abs().sum(-1)
    assert torch.isfinite(gradient).all() and (per_slot > 0).all()
