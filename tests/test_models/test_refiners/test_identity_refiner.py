"""IdentityRefiner: the coarse logits, and nothing else."""

import torch
from sam_makers import random_image, random_prompts

from ultrarefiner.models.refiners import IdentityRefiner
from ultrarefiner.structures import SegOutput


def test_it_resizes_the_coarse_logits_between_the_outer_edges():
    # Twice as many pixels: a quarter and three quarters of the way, and the border goes on.
    coarse = SegOutput(torch.tensor([[[[0.0, 4.0]]]]))
    output = IdentityRefiner()([random_image(8, 8)], coarse, random_prompts(1), (1, 4))
    assert output.logits.tolist() == [[[[0.0, 1.0, 3.0, 4.0]]]]
    assert output[1:] == (None, None, None)


def test_at_the_same_size_the_logits_are_the_same():
    coarse = SegOutput(torch.randn(2, 3, 9, 7))
    output = IdentityRefiner()([random_image(8, 8), random_image(5, 9)], coarse, random_prompts(2, 3), (9, 7))
    assert torch.equal(output.logits, coarse.logits)


def test_it_has_no_weights():
    assert IdentityRefiner().state_dict() == {}
