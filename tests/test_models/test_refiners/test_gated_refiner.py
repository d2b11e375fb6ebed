"""GatedRefiner: the mixture by hand and at the extremes, where gradient goes, and what a loss on the quality sees."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from sam_makers import TINY, random_image, random_prompts, tiny_refiner
from spy_refiner import SpyRefiner, disc_logits
from torch import nn

from ultrarefiner.models.losses import PredictedIoUMSE
from ultrarefiner.models.refiners import GatedRefiner
from ultrarefiner.models.refiners.gated_refiner import mix_probabilities
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import SegOutput, StageTarget

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
CONSTANT = dict(type='UncertaintyGate', gmin=0.25, gmax=0.25)
LEARNED = dict(type='LearnedGate', channels=4, size=(16, 16))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def decode(refiner, coarse, size=(32, 32)):
    images = [random_image(32, 32, seed) for seed in range(len(coarse))]
    return refiner(images, SegOutput(coarse), random_prompts(*coarse.shape[:2]), size)


def test_the_mixture_by_hand():
    c, r, g = (torch.tensor([value]) for value in (0.2, 0.8, 0.25))
    assert mix_probabilities(c.logit(), r.logit(), g).sigmoid().item() == pytest.approx(0.35)


def test_the_mixture_is_that_of_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    coarse, refined = 6 * torch.randn(2, 10_000, generator=generator, dtype=torch.float64)
    gate = torch.rand(10_000, generator=generator).double()
    expected = (1 - gate) * coarse.sigmoid() + gate * refined.sigmoid()
    double = mix_probabilities(coarse, refined, gate)
    torch.testing.assert_close(double.sigmoid(), expected, rtol=0, atol=1e-14)
    single = mix_probabilities(coarse.float(), refined.float(), gate.float())
    torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=2e-6)
    # The background's probabilities are mixed in the same way.
    torch.testing.assert_close(mix_probabilities(-coarse, -refined, gate), -double, rtol=0, atol=1e-12)


def test_a_closed_gate_gives_the_coarse_logits_and_an_open_one_the_refined_exactly():
    logits = torch.tensor([-1e4, -31.7, -2e-3, 0.0, 5.3, 1e4])
    coarse, refined = torch.cartesian_prod(logits, logits).unbind(dim=1)
    assert torch.equal(mix_probabilities(coarse, refined, torch.zeros(36)), coarse)
    assert torch.equal(mix_probabilities(coarse, refined, torch.ones(36)), refined)
    # Nearly closed, a sure refined mask against a sure coarse one leaves log(g).
    nearly = mix_probabilities(torch.tensor(-1e4), torch.tensor(1e4), torch.tensor(1e-12))
    assert nearly.item() == pytest.approx(-27.631, abs=1e-3)


def test_values_and_gradients_are_finite_at_any_finite_logit():
    for values in itertools.product((-1e4, -40.0, 0.0, 40.0, 1e4), (-1e4, 0.0, 1e4), (0.0, 1e-29, 0.5, 1 - 6e-8, 1.0)):
        inputs = [torch.tensor(value, requires_grad=True) for value in values]
        mixed = mix_probabilities(*inputs)
        assert all(value.isfinite() for value in (mixed, *torch.autograd.grad(mixed, inputs))), values


def test_the_gradient_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(1)
    inputs = [4 * torch.randn(2, 5, generator=generator, dtype=torch.float64) for _ in range(2)]
    inputs = [value.requires_grad_() for value in (*inputs, torch.rand(2, 5, generator=generator).double())]
    assert torch.autograd.gradcheck(mix_probabilities, inputs)


def test_half_precision_is_mixed_in_full():
    coarse, gate = torch.tensor([12.0], dtype=torch.bfloat16), torch.tensor([0.5])
    mixed = mix_probabilities(coarse, coarse, gate)
    assert mixed.dtype == torch.float32 and mixed.item() == pytest.approx(12, abs=1e-5)


def test_coarse_logits_are_resized_and_mixed_with_the_refined():
    refiner = GatedRefiner(SpyRefiner(logit=torch.tensor(0.8).logit().item()), CONSTANT)
    output = decode(refiner, torch.tensor(0.2).logit().expand(1, 2, 16, 16))
    torch.testing.assert_close(output.probabilities, torch.full((1, 2, 32, 32), 0.75 * 0.2 + 0.25 * 0.8))
    kept = decode(GatedRefiner(SpyRefiner(), dict(CONSTANT, gmin=0, gmax=0)), disc_logits((32, 32), (16, 16), 7))
    assert torch.equal(kept.logits, disc_logits((32, 32), (16, 16), 7))


def test_gradient_reaches_the_coarse_logits_the_refiner_and_the_gate():
    refiner = GatedRefiner(tiny_refiner(), LEARNED)
    refiner.freeze_unused(frozenset({'masks'}), quality_used=False)
    coarse = disc_logits((32, 32), (14, 17), 8).requires_grad_()
    images, prompts = [random_image(32, 32)], random_prompts(1, kinds=('masks',))
    refiner.train()(images, SegOutput(coarse), prompts, (32, 32)).logits.square().mean().backward()
    assert coarse.grad.abs().sum() > 0
    trained = {name for name, weight in refiner.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in refiner.named_parameters() if weight.requires_grad}
    assert {f'gate.{name}' for name, _ in refiner.gate.named_parameters()} < trained
    assert 'refiner.mask_decoder.mask_tokens.weight' in trained
    assert not refiner.refiner.mask_decoder.iou_prediction_head.layers[0].weight.requires_grad


def test_a_loss_on_the_quality_judges_the_inner_masks():
    """The inner mask covers the image and its IoU with the truth is 0.5; the gated one is the coarse mask, exact."""
    inner = SpyRefiner()
    output = decode(GatedRefiner(inner, dict(CONSTANT, gmin=0, gmax=0)), torch.tensor([9.0, -9.0]).repeat(1, 1, 4, 2))
    label = (output.logits[0, 0] > 0).long()
    candidate_quality = torch.full((1, 1, 1), 0.5, requires_grad=True)
    output = output._replace(candidate_quality=candidate_quality)
    loss = PredictedIoUMSE(stage='refined').per_image(output, StageTarget([label], 1))
    # (0.5 - 1)^2 for the mixture, which nothing learns from, and (0.5 - 0.5)^2 for the inner mask.
    assert loss.item() == pytest.approx(0.125)
    (gradient,) = torch.autograd.grad(loss, candidate_quality)
    assert gradient.item() == 0


class WithoutCandidates(SpyRefiner):
    """Predicts an IoU, but gives one mask alone."""

    def __init__(self):
        super().__init__(logit=2.0)
        self.head = nn.Parameter(torch.tensor(0.7))

    def decode(self, embedding, coarse, prompts, size):
        output = super().decode(embedding, coarse, prompts, size)
        return SegOutput(output.logits, self.head.expand(coarse.logits.shape[:2]))


def test_without_candidates_the_inner_mask_is_the_candidate_of_its_predicted_iou():
    inner = WithoutCandidates()
    output = decode(GatedRefiner(inner, CONSTANT), torch.zeros(2, 3, 16, 16))
    assert torch.equal(output.candidates, torch.full((2, 3, 1, 32, 32), 2.0))
    assert torch.equal(output.candidate_quality, torch.full((2, 3, 1), 0.7))
    assert torch.equal(output.quality, torch.full((2, 3), 0.7)) and not output.quality.requires_grad
    assert torch.autograd.grad(output.candidate_quality.sum(), inner.head)[0] == 6


def test_without_a_predicted_iou_there_is_none():
    class Mute(SpyRefiner):
        def decode(self, embedding, coarse, prompts, size):
            return SegOutput(super().decode(embedding, coarse, prompts, size).logits)

    output = decode(GatedRefiner(Mute(), CONSTANT), torch.zeros(1, 1, 16, 16))
    assert (output.quality, output.candidates, output.candidate_quality) == (None, None, None)


def test_the_held_refiner_reads_its_own_checkpoint(tmp_path):
    path = tmp_path / 'sam.pth'
    source = tiny_refiner()
    torch.save(source.state_dict(), path)
    held = dict(type='SAMRefiner', arch=TINY, encoder='trained', checkpoint=str(path))
    refiner = GatedRefiner(held, LEARNED)
    refiner.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(refiner.state_dict()[f'refiner.{name}'], value)


def test_the_fragment_puts_a_gate_around_the_small_sam():
    plain, gated = (
        Config.fromfile(CONFIGS / '_base_' / 'models' / f'refiner_sam-small{end}.py') for end in ('', '_gated')
    )
    assert gated.refiner.refiner == plain.refiner
    with torch.device('meta'):
        refiner = REFINERS.build(gated.refiner)
    assert sum(weight.numel() for weight in refiner.gate.parameters()) == 10177
