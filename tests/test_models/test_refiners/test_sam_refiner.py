"""SAMRefiner: sizes, modes of the encoder, unused parameters, and its arguments."""

import itertools

import pytest
import torch
from sam_makers import LORA, TINY, coarse, random_image, random_prompts, tiny_refiner

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import MEDSAM_PROFILE, SAM_PROFILE

SUBSETS = [kinds for size in range(4) for kinds in itertools.combinations(('points', 'boxes', 'masks'), size)]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('arch, encoder', [('vit_b', 89_670_912), ('vit_l', 308_278_272), ('vit_h', 637_026_048)])
def test_published_parameter_counts(arch, encoder):
    with torch.device('meta'):
        refiner = SAMRefiner(arch=arch)
    assert count(refiner.image_encoder) == encoder
    assert count(refiner.prompt_encoder) == 6_220
    assert count(refiner.mask_decoder) == 4_058_340


@pytest.mark.parametrize('rank, trainable', [(4, 147_456), (8, 294_912)])
def test_lora_parameter_counts_in_vit_b(rank, trainable):
    with torch.device('meta'):
        refiner = SAMRefiner(encoder=dict(type='LoRAAdapter', r=rank, lora_alpha=4.0, lora_dropout=0.0))
    parameters = refiner.image_encoder.parameters()
    assert sum(parameter.numel() for parameter in parameters if parameter.requires_grad) == trainable


@pytest.mark.parametrize('encoder', ['frozen', 'trained', LORA], ids=str)
@pytest.mark.parametrize('selection', ['ArgmaxSelection', 'SoftmaxSelection'])
@pytest.mark.parametrize('quality_used', [False, True])
def test_every_parameter_that_trains_gets_a_gradient(encoder, selection, quality_used):
    images = [random_image(40, 60), random_image(60, 40)]
    for kinds in SUBSETS:
        refiner = tiny_refiner(encoder=encoder, selection=dict(type=selection)).train()
        refiner.freeze_unused(frozenset(kinds), quality_used)
        prompts = random_prompts(2, 1, kinds)
        output = refiner(images, coarse(2), prompts, (16, 16))
        (output.logits.mean() + (output.quality.mean() if quality_used else 0)).backward()
        without = [name for name, p in refiner.named_parameters() if p.requires_grad and p.grad is None]
        assert without == [], kinds
        frozen = [name for name, p in refiner.named_parameters() if not p.requires_grad and p.grad is not None]
        assert frozen == [], kinds


def test_freeze_unused_freezes_no_more_than_it_must():
    refiner = tiny_refiner()
    refiner.freeze_unused(frozenset(('points', 'boxes', 'masks')), quality_used=True)
    frozen = {name.rsplit('.layers', 1)[0] for name, p in refiner.named_parameters() if not p.requires_grad}
    assert frozen == {'prompt_encoder.no_mask_embed.weight', 'mask_decoder.output_hypernetworks_mlps.0'}


def test_frozen_encoder_stays_in_evaluation_mode_and_builds_no_graph():
    refiner = tiny_refiner(encoder='frozen').train()
    assert not any(part.training for part in refiner.image_encoder.modules())
    assert refiner.mask_decoder.training and refiner.prompt_encoder.training
    embedding = refiner.encode_image([random_image(40, 60)])
    assert embedding.features.grad_fn is None and not embedding.features.requires_grad


@pytest.mark.parametrize('encoder', ['trained', LORA], ids=str)
@pytest.mark.parametrize('training', [False, True])
def test_gradient_follows_requires_grad_and_not_the_mode(encoder, training):
    refiner = tiny_refiner(encoder=encoder).train(training)
    assert refiner.encode_image([random_image(40, 60)]).features.requires_grad
    refiner.image_encoder.requires_grad_(False)
    assert not refiner.encode_image([random_image(40, 60)]).features.requires_grad


def test_gradients_of_a_batch_equal_those_of_its_images():
    refiner = tiny_refiner(encoder='frozen')
    images = [random_image(50, 80), random_image(70, 40, seed=1)]
    prompts = random_prompts(2)
    weight = refiner.mask_decoder.mask_tokens.weight

    def gradient(part):
        output = refiner(images[part], coarse(len(images[part])), prompts[part], (24, 24))
        return torch.autograd.grad(output.logits.sigmoid().mean((1, 2, 3)).sum(), weight)[0]

    torch.testing.assert_close(
        gradient(slice(0, 2)), gradient(slice(0, 1)) + gradient(slice(1, 2)), atol=1e-5, rtol=1e-4
    )


def test_profiles_by_name_take_the_size_of_the_architecture():
    sam, medsam = (SAMRefiner(arch=TINY, input_profile=name).input_profile for name in ('sam', 'medsam'))
    assert (sam.size, sam.mean, sam.keep_ratio) == ((64, 64), SAM_PROFILE.mean, True)
    assert (medsam.size, medsam.value_range, medsam.keep_ratio) == ((64, 64), MEDSAM_PROFILE.value_range, False)


def test_medsam_profile_squashes_the_image_so_that_nothing_is_padding():
    refiner = tiny_refiner(input_profile='medsam')
    assert refiner.encode_image([random_image(40, 60)]).content.tolist() == [[64, 64]]


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(arch='vit_x'), ['vit_x', 'vit_b', 'vit_h']),
        (dict(arch=dict(TINY, patch_size=7)), ['image_size', '64', '7']),
        (dict(encoder='unfrozen'), ['unfrozen', 'frozen', 'trained', 'LoRAAdapter']),
        (dict(input_profile='mobile'), ['mobile', 'medsam', 'sam']),
        (dict(input_profile=dict(size=(32, 32))), ['(32, 32)', '64 x 64']),
        (dict(input_profile=dict(size=(64, 64), grey=True)), ['grey=True', 'RGB']),
    ],
)
def test_wrong_arguments_are_answered_with_what_is_expected(options, words):
    with pytest.raises(ValueError) as error:
        SAMRefiner(**{**dict(arch=TINY), **options})
    assert all(word in str(error.value) for word in words)


def test_a_size_that_does_not_exist_is_refused_when_built():
    with pytest.raises(TypeError, match='patch_sise'):
        REFINERS.build(dict(type='SAMRefiner', arch=dict(TINY, patch_sise=8)))
