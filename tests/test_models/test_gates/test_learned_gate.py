"""LearnedGate: size, start, what it learns, and that it does not depend on the output size."""

import pytest
import torch
import torch.nn.functional as F

from ultrarefiner.models.gates import LearnedGate
from ultrarefiner.models.refiners.gated_refiner import mix_probabilities
from ultrarefiner.testing.toy_masks import ellipse_logits
from ultrarefiner.utils.resize_logits import resize_logits


def test_it_has_the_published_number_of_weights():
    weights = [3 * 32 * 9 + 32, 32 * 32 * 9 + 32, 32 + 1]
    assert sum(parameter.numel() for parameter in LearnedGate().parameters()) == sum(weights) == 10177


def test_it_starts_nearly_closed():
    torch.manual_seed(0)
    coarse = ellipse_logits(2, 1)
    gate = LearnedGate()(coarse, coarse.flip(-1))
    assert gate.max() < 0.25 and gate.mean().item() == pytest.approx(0.1192, abs=0.06)
    plain = LearnedGate(bias=-1.0)
    torch.nn.init.zeros_(plain.layers[-1].weight)
    torch.testing.assert_close(plain(coarse, coarse), torch.full_like(coarse, 0.268941421))


def test_it_is_the_same_function_at_every_output_size():
    torch.manual_seed(0)
    gate = LearnedGate(channels=8, bias=0.0, size=(32, 32))
    coarse, refined = ellipse_logits(1, 2, (32, 32)), ellipse_logits(1, 2, (32, 32)).flip(-1)
    small = gate(coarse, refined)
    large = gate(*(resize_logits(logits, (128, 128)) for logits in (coarse, refined)))
    spread = small.max() - small.min()
    assert (F.avg_pool2d(large, 4) - small).abs().mean() < 0.03 * spread


def test_it_learns_where_the_refined_mask_is_better():
    """The refined mask is right where the coarse one is in doubt, and wrong elsewhere."""
    torch.manual_seed(0)
    truth = (ellipse_logits(4, 1) > 0).float()
    doubtful = torch.zeros_like(truth, dtype=torch.bool)
    doubtful[..., :20] = True
    coarse = torch.where(doubtful, 0.0, 4 * (2 * truth - 1))
    refined = torch.where(doubtful, 1, -1) * 4 * (2 * truth - 1)
    gate = LearnedGate(channels=8, size=(48, 40))
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        values = gate(coarse, refined)
        F.binary_cross_entropy_with_logits(mix_probabilities(coarse, refined, values), truth).backward()
        optimizer.step()
    assert values[doubtful].mean() > 0.85 and values[~doubtful].mean() < 0.05
