import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of
from scipy.ndimage import gaussian_filter

from ultrarefiner.registry import PROMPT_GENERATORS


def test_it_is_scipys_blur_mapped_linearly():
    mask = ellipse((48, 64), (0.1, 0.5), (0.3, 0.2))
    sigma = 0.03
    masks = prompts_of(dict(type='GaussianMaskPrompt', sigma=sigma, scale=4.0), logits_of(mask)).masks[0, 0]
    # truncate is in standard deviations, rounded to the same 5 and 6 pixels as ours.
    blurred = gaussian_filter(mask.numpy(), (sigma * 48, sigma * 64), mode='nearest', radius=(5, 6))
    torch.testing.assert_close(masks, (2 * torch.from_numpy(blurred) - 1) * 4, atol=1e-4, rtol=0)


def test_the_border_goes_on_so_a_full_mask_stays_full():
    masks = prompts_of(dict(type='GaussianMaskPrompt', sigma=0.2), torch.full((1, 1, 16, 24), 20.0)).masks
    torch.testing.assert_close(masks, torch.full((1, 1, 16, 24), 10.0))


def test_half_a_plane_is_the_normal_distribution():
    """The blurred edge of x > 0.5, d from it, is the normal distribution's integral up to d / sigma."""
    mask = torch.zeros(8, 200)
    mask[:, 100:] = 1
    masks = prompts_of(dict(type='GaussianMaskPrompt', sigma=0.05), logits_of(mask)).masks[0, 0, 4]
    distance = (torch.arange(200) + 0.5 - 100) / (0.05 * 200)
    expected = 10 * torch.erf(distance / 2**0.5)
    torch.testing.assert_close(masks, expected, atol=0.05, rtol=0)


def test_prompt_is_the_same_at_twice_the_resolution():
    masks = [
        prompts_of(
            dict(type='GaussianMaskPrompt', sigma=0.04), logits_of(ellipse((size, size), (0.5, 0.4), (0.3, 0.2)))
        ).masks
        for size in (48, 96)
    ]
    torch.testing.assert_close(masks[0], torch.nn.functional.avg_pool2d(masks[1], 2), atol=0.2, rtol=0)


def test_gradient_is_the_derivative():
    logits = torch.randn(
        1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    cfg = dict(type='GaussianMaskPrompt', sigma=0.2)
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).masks, logits)


def test_full_precision_under_autocast():
    logits = logits_of(ellipse((48, 48), (0.5, 0.5), (0.3, 0.2)))
    expected = prompts_of(dict(type='GaussianMaskPrompt'), logits).masks
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(prompts_of(dict(type='GaussianMaskPrompt'), logits).masks, expected)


@pytest.mark.parametrize('argument', ['sigma', 'scale'])
def test_arguments_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=f'{argument} is 0, expected a positive number'):
        PROMPT_GENERATORS.build({'type': 'GaussianMaskPrompt', argument: 0})
