"""ConvRefiner: the identity at start, what it reads, and that it learns."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from sam_makers import random_image, random_prompts
from spy_refiner import disc_logits
from torch.nn import functional as F

from ultrarefiner.models.refiners import ConvRefiner
from ultrarefiner.models.refiners.prompt_maps import EDGE_WIDTH, POINT_SIGMA, box_maps, point_maps
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import Prompts, SegOutput

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
SMALL = dict(input_size=(32, 32), width=8, depth=3, norm_groups=4)


def small(**options):
    torch.manual_seed(0)
    return ConvRefiner(**{**SMALL, **options})


def trained(**options):
    """With a residual that is not zero, as after training."""
    refiner = small(**options)
    torch.nn.init.normal_(refiner.residual.weight)
    return refiner.eval()


@pytest.mark.parametrize('kinds', [(), ('points',), ('points', 'boxes', 'masks')], ids='-'.join)
def test_an_untrained_refiner_gives_the_coarse_logits_exactly(kinds):
    refiner = small()
    refiner.init_weights()
    images = [random_image(50, 33), random_image(41, 60)]
    coarse = SegOutput(20 * torch.randn(2, 2, 24, 20))
    output = refiner(images, coarse, random_prompts(2, 2, kinds), (50, 33))
    assert torch.equal(output.logits, F.interpolate(coarse.logits, (50, 33), mode='bilinear', align_corners=False))
    assert output.candidates is None and output.quality.shape == (2, 2)


def test_a_point_is_a_signed_gaussian_and_padding_is_nothing():
    points = torch.tensor([[[[0.25, 0.5], [0.75, 0.5], [0.5, 0.9]]]])
    drawn = point_maps(points, torch.tensor([[[1, 0, -1]]]), (99, 200))[0, 0]
    # The centre of pixel 49 of 99 is 0.5; those of pixels 49 and 50 of 200 are half a pixel off 0.25.
    peak = torch.exp(torch.tensor(-0.5 * (0.5 / 200 / POINT_SIGMA) ** 2))
    torch.testing.assert_close(drawn[49, 49:51], peak.expand(2))
    torch.testing.assert_close(drawn, -drawn.flip(1))
    assert drawn[80:].abs().max() < 1e-6


def test_a_box_is_filled_and_half_at_its_edges():
    drawn = box_maps(torch.tensor([[[0.25, 0.5, 0.75, 1.0]]]), (102, 202))[0, 0]
    outside = [(0.05 * 202, 50), (0.5 * 202, 0.3 * 102)]
    assert all(drawn[int(y), int(x)] < 1e-6 for x, y in outside) and drawn[76, 101] > 1 - 1e-6
    # Pixel 50 of 202 has its centre at 0.25, and pixel 76 of 102 at 0.75, far from the other edges.
    torch.testing.assert_close(drawn[76, 50].item(), 0.5)
    torch.testing.assert_close(drawn[76, 52].item(), torch.tensor(2 / 202 / EDGE_WIDTH).sigmoid().item())
    assert drawn.mean().item() == pytest.approx(0.25, abs=0.01)


def test_gradient_of_the_maps_moves_a_point_and_the_edges_of_a_box():
    points = torch.tensor([[[[0.5, 0.5]]]], requires_grad=True)
    boxes = torch.tensor([[[0.3, 0.3, 0.7, 0.7]]], requires_grad=True)
    ramp = torch.linspace(0, 1, 64)
    (point_maps(points, torch.ones(1, 1, 1), (64, 64)) * ramp).sum().backward()
    box_maps(boxes, (64, 64)).sum().backward()
    assert points.grad[..., 0] > 0.1 and points.grad[..., 1].abs() < 1e-3  # up the ramp, which rises with x
    assert (boxes.grad[0, 0].sign() == torch.tensor([-1, -1, 1, 1])).all()  # a larger box has a larger sum


@pytest.mark.parametrize('kind', ['points', 'boxes', 'masks'])
def test_gradient_reaches_each_kind_of_prompt_and_the_coarse_logits(kind):
    refiner, prompts = trained(), random_prompts(2, 2, (kind,))
    value = getattr(prompts, kind).requires_grad_()
    coarse = torch.randn(2, 2, 24, 20, requires_grad=True)
    output = refiner([random_image(40, 60), random_image(60, 40)], SegOutput(coarse), prompts, (32, 32))
    for gradient in torch.autograd.grad(output.logits.square().sum(), (value, coarse)):
        assert gradient.isfinite().all() and (gradient.flatten(2).abs().sum(-1) > 0).all()


def test_a_batch_equals_its_images_and_slots_one_by_one_in_training_too():
    refiner = trained().train()
    images, prompts = [random_image(50, 80), random_image(33, 64)], random_prompts(2, 2)
    coarse = 3 * torch.randn(2, 2, 24, 24)
    batch = refiner(images, SegOutput(coarse), prompts, (40, 40))
    for n, image in enumerate(images):
        for k in range(2):
            one = prompts[n : n + 1]._map(lambda value, k=k: value[:, k : k + 1])
            alone = refiner([image], SegOutput(coarse[n : n + 1, k : k + 1]), one, (40, 40))
            torch.testing.assert_close(batch.logits[n, k], alone.logits[0, 0], atol=1e-4, rtol=0)
            torch.testing.assert_close(batch.quality[n, k], alone.quality[0, 0], atol=1e-4, rtol=0)


def test_extreme_coarse_logits_and_prompts_give_finite_results():
    coarse = SegOutput(torch.full((1, 1, 24, 24), 1e4))
    prompts = Prompts(masks=torch.full((1, 1, 24, 24), -1e4))
    output = trained()([random_image(40, 40)], coarse, prompts, (40, 40))
    assert output.logits.isfinite().all() and output.quality.isfinite().all()


def test_it_learns_to_draw_what_the_image_shows():
    # The coarse mask is a disc four pixels off; the image shows it in its place.
    truth = disc_logits((32, 32), (16, 16), 7) > 0
    image = (60 + 120 * truth[0].expand(3, -1, -1)).to(torch.uint8)
    coarse = SegOutput(disc_logits((32, 32), (20, 16), 7))
    refiner = small()
    optimizer = torch.optim.Adam(refiner.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        output = refiner([image], coarse, Prompts(), (32, 32))
        losses.append(F.binary_cross_entropy_with_logits(output.logits, truth.float()))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.05 * losses[0]
    assert ((output.logits > 0) == truth).float().mean() > 0.98 > ((coarse.logits > 0) == truth).float().mean()


def test_the_small_one_of_the_configs_has_half_a_million_weights():
    config = Config.fromfile(CONFIGS / '_base_' / 'models' / 'refiner_conv-small.py').refiner
    assert sum(weight.numel() for weight in REFINERS.build(config).parameters()) == 454_522


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(input_size=(32, 30)), ['(32, 30)', 'depth 3', 'multiples']),
        (dict(depth=0), ['depth 0']),
        (dict(norm_groups=3), ['width is 8', 'norm_groups (3)']),
    ],
)
def test_sizes_that_do_not_divide_are_refused(options, words):
    with pytest.raises(ValueError) as error:
        small(**options)
    assert all(word in str(error.value) for word in words)
