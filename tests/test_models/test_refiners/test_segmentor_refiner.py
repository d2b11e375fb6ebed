"""SegmentorRefiner: phase 1 at the start, what it reads, and what it does not take."""

import pytest
import torch
from mmengine.registry import init_default_scope
from sam_makers import random_image, random_prompts

from ultrarefiner.models.refiners import SegmentorRefiner
from ultrarefiner.models.segmentors import CoarseToFine
from ultrarefiner.structures import SegOutput

INPUT = dict(size=(32, 32), grey=True)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def unet(num_classes=2, in_channels=3, **options):
    backbone = dict(
        type='mmseg.UNet',
        in_channels=in_channels,
        base_channels=4,
        num_stages=2,
        strides=(1, 1),
        enc_num_convs=(1, 1),
        dec_num_convs=(1,),
        downsamples=(True,),
        enc_dilations=(1, 1),
        dec_dilations=(1,),
        norm_cfg=dict(type='GN', num_groups=2),
    )
    head = dict(
        type='mmseg.FCNHead',
        in_channels=4,
        channels=4,
        num_convs=1,
        in_index=1,
        num_classes=num_classes,
        dropout_ratio=0.0,
        norm_cfg=dict(type='GN', num_groups=2),
    )
    return dict(type='EncoderDecoder', backbone=backbone, decode_head=head, test_cfg=dict(mode='whole'), **options)


def small(**options):
    torch.manual_seed(0)
    return SegmentorRefiner(**{**dict(segmentor=unet(), segmentor_input=INPUT), **options}).eval()


def test_it_starts_as_the_coarse_network_of_phase_1(tmp_path):
    torch.manual_seed(1)
    phase1 = CoarseToFine(coarse=unet(in_channels=1), coarse_input=INPUT).eval()
    phase1.init_weights()
    meta = dict(ultrarefiner=dict(input_profiles=phase1.input_profiles()))
    torch.save(dict(state_dict=phase1.state_dict(), meta=meta), tmp_path / 'best.pth')
    refiner = small(segmentor=unet(in_channels=1), channels=1, checkpoint=str(tmp_path / 'best.pth'))
    refiner.init_weights()
    images = [random_image(50, 33), random_image(41, 60, seed=1)]
    output = refiner(images, SegOutput(20 * torch.randn(2, 1, 24, 20)), random_prompts(2), (32, 32))
    torch.testing.assert_close(output.logits, phase1.run_coarse(images).logits)
    assert output.quality is None


def test_weights_of_another_preprocessing_are_refused(tmp_path):
    phase1 = CoarseToFine(coarse=unet(in_channels=1), coarse_input=dict(INPUT, value_range='minmax'))
    meta = dict(ultrarefiner=dict(input_profiles=phase1.input_profiles()))
    torch.save(dict(state_dict=phase1.state_dict(), meta=meta), tmp_path / 'best.pth')
    refiner = small(segmentor=unet(in_channels=1), channels=1, checkpoint=str(tmp_path / 'best.pth'))
    with pytest.raises(ValueError, match='minmax'):
        refiner.init_weights()


def test_every_slot_is_segmented_alone_and_a_batch_equals_its_images():
    refiner = small()
    torch.nn.init.normal_(refiner.paint.weight, std=0.1)
    images = [random_image(50, 33), random_image(41, 60, seed=1)]
    coarse, prompts = torch.randn(2, 3, 24, 20), random_prompts(2, 3)
    together = refiner(images, SegOutput(coarse), prompts, (40, 30)).logits
    alone = [refiner([images[i]], SegOutput(coarse[[i]]), prompts[[i]], (40, 30)).logits for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert (together[0, 0] - together[0, 1]).abs().max() > 0.01, 'slots of one image differ in their masks alone'


@pytest.mark.parametrize('kind', ['points', 'boxes', 'masks'])
def test_gradient_reaches_each_kind_of_prompt_the_coarse_logits_and_every_weight(kind):
    refiner = small().train()
    torch.nn.init.normal_(refiner.paint.weight, std=0.1)
    prompts = random_prompts(2, 2, (kind,))
    value = getattr(prompts, kind).requires_grad_()
    coarse = torch.randn(2, 2, 24, 20, requires_grad=True)
    output = refiner([random_image(40, 60), random_image(60, 40)], SegOutput(coarse), prompts, (32, 32))
    wanted = [value, coarse, *refiner.parameters()]
    for gradient in torch.autograd.grad(output.logits.square().sum(), wanted):
        assert gradient.abs().sum() > 0


def test_the_layer_that_paints_learns_from_its_start_at_zero():
    refiner = small().train()
    output = refiner([random_image(40, 60)], SegOutput(torch.randn(1, 1, 24, 20)), random_prompts(1), (32, 32))
    output.logits.square().sum().backward()
    assert not refiner.paint.weight.any() and refiner.paint.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(segmentor=unet(num_classes=4)), 'has 4 channels of classes, expected 1 or 2'),
        (dict(segmentor_input=dict(size=(32, 32), keep_ratio=True)), 'squashed'),
        (dict(segmentor_input=dict(size=(32, 32)), channels=1), 'channels 1, expected'),
    ],
    ids=['classes', 'padding', 'channels'],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
