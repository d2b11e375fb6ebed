import pytest
import torch
from prompt_shapes import ellipse, logits_of, prompts_of, rectangle
from scipy.ndimage import distance_transform_cdt

from ultrarefiner.registry import PROMPT_GENERATORS

NAME = 'SignedDistanceMaskPrompt'


def test_row_through_a_square_counts_pixels_to_the_border():
    """Columns 3 to 7 of 20 are inside; a logit is 0.05, which is one pixel; the border lies between pixel centres."""
    logits = logits_of(rectangle((20, 20), 3, 6, 8, 14))
    masks = prompts_of(dict(type=NAME, temperature=0.05, limit=4.0), logits).masks[0, 0, 10]
    expected = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5] + [-4.0] * 8
    torch.testing.assert_close(masks, torch.tensor(expected), atol=1e-4, rtol=0)


def test_it_is_scipys_chessboard_distance():
    mask = (ellipse((40, 50), (0.45, 0.5), (0.25, 0.3)) > 0.5).float()
    masks = prompts_of(dict(type=NAME, temperature=0.02, limit=60.0), logits_of(mask)).masks[0, 0]
    inside, outside = (distance_transform_cdt(part.numpy(), 'chessboard') for part in (mask, 1 - mask))
    expected = torch.from_numpy(inside - outside).float() - mask.sub(0.5)
    torch.testing.assert_close(masks, expected, atol=1e-3, rtol=0)


def test_the_edge_of_the_image_is_no_border():
    """A half plane: deep at its edge, and far outside at the other."""
    mask = torch.zeros(16, 16)
    mask[:, :8] = 1
    masks = prompts_of(dict(type=NAME, temperature=1 / 16, limit=20.0), logits_of(mask)).masks[0, 0, 0]
    torch.testing.assert_close(masks, 7.5 - torch.arange(16), atol=1e-4, rtol=0)


def test_the_sign_is_that_of_the_probability():
    logits = torch.randn(1, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    masks = prompts_of(dict(type=NAME, threshold=0.4), logits).masks
    assert torch.equal(masks > 0, logits.sigmoid() > 0.4)


def test_half_as_sure_is_half_as_deep():
    sure, unsure = (logits_of(rectangle((32, 32), 8, 8, 24, 24), inside=inside) for inside in (1.0, 0.75))
    masks = [prompts_of(dict(type=NAME, limit=50.0), logits).masks[0, 0, 10:22, 10:22] for logits in (sure, unsure)]
    torch.testing.assert_close(masks[0] / 2, masks[1], atol=1e-3, rtol=0)


def test_prompt_is_nearly_the_same_at_twice_the_resolution():
    """512 pixels take steps of two; the discs are the same, up to a step of 2 / 512."""
    masks = [
        prompts_of(dict(type=NAME), logits_of(ellipse((size, size), (0.5, 0.4), (0.3, 0.2), samples=2))).masks
        for size in (256, 512)
    ]
    torch.testing.assert_close(masks[0], torch.nn.functional.avg_pool2d(masks[1], 2), atol=0.6, rtol=0)


def test_gradient_is_the_derivative():
    logits = torch.randn(
        1, 1, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    cfg = dict(type=NAME, temperature=0.1)
    assert torch.autograd.gradcheck(lambda x: prompts_of(cfg, x).masks, logits)


@pytest.mark.parametrize('argument', ['temperature', 'limit'])
def test_arguments_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=f'{argument} is 0, expected a positive number'):
        PROMPT_GENERATORS.build({'type': NAME, argument: 0})
