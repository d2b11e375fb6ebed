"""MaskPrompt and LogitMaskPrompt."""

import pytest
import torch
from prompt_shapes import prompts_of

from ultrarefiner.registry import PROMPT_GENERATORS


def test_mask_prompt_is_the_methods_linear_map():
    logits = torch.tensor([[[[0.0, 0.1, 0.5, 0.9, 1.0]]]]).logit(eps=1e-7)
    masks = prompts_of(dict(type='MaskPrompt'), logits).masks
    torch.testing.assert_close(masks.flatten(), torch.tensor([-10.0, -8.0, 0.0, 8.0, 10.0]), atol=1e-4, rtol=0)


def test_mask_prompt_resizes_on_request_and_keeps_the_mean():
    logits = torch.randn(2, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    masks = prompts_of(dict(type='MaskPrompt', size=(6, 8)), logits).masks
    assert masks.shape == (2, 1, 6, 8)
    full = prompts_of(dict(type='MaskPrompt'), logits).masks
    torch.testing.assert_close(masks.mean(), full.mean(), atol=0.2, rtol=0)


def test_logit_mask_prompt_keeps_logits_up_to_the_limit():
    logits = torch.tensor([[[[-1e4, -2.5, 0.3, 1e4]]]])
    masks = prompts_of(dict(type='LogitMaskPrompt', limit=15.0), logits).masks
    assert masks.flatten().tolist() == pytest.approx([-15, -2.5, 0.3, 15])


def test_gradient_is_the_derivative():
    logits = torch.randn(
        1, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    for cfg in (dict(type='MaskPrompt', size=(3, 3)), dict(type='LogitMaskPrompt')):
        assert torch.autograd.gradcheck(lambda x, cfg=cfg: prompts_of(cfg, x).masks, logits)


@pytest.mark.parametrize('cfg', [dict(type='MaskPrompt', scale=0), dict(type='LogitMaskPrompt', limit=-1)])
def test_arguments_out_of_range_are_refused(cfg):
    with pytest.raises(ValueError, match='expected a positive number'):
        PROMPT_GENERATORS.build(cfg)
