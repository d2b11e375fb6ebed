"""TransformersRefiner: architectures, modes of the encoder, unused parameters, gradients, and its arguments."""

import copy
import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from sam_makers import coarse, random_image, random_prompts
from transformers_makers import TINY, tiny

from ultrarefiner.models.refiners import TransformersRefiner
from ultrarefiner.models.refiners.transformers_families import FAMILIES
from ultrarefiner.models.refiners.transformers_published import PUBLISHED
from ultrarefiner.registry import REFINERS
from ultrarefiner.structures import Prompts
from ultrarefiner.testing import check_refiner

SUBSETS = [kinds for size in range(4) for kinds in itertools.combinations(('points', 'boxes', 'masks'), size)]
IMAGES = [random_image(40, 60), random_image(60, 40, seed=1)]
WINDOWED = dict(TINY['sam_hq']['vision_config'], global_attn_indexes=[5])
QKV = dict(
    sam=r'layers\.\d+\.attn\.qkv',
    sam_hq=r'layers\.\d+\.attn\.qkv',
    sam2=r'backbone\.blocks\.\d+\.attn\.qkv',
    edgetam=r'neck\.convs\.\d+',
    sam3_tracker=r'backbone\.layers\.\d+\.attention\.[qv]_proj',
)


def with_padding_point(prompts):
    """The same prompts and a point that is none, so that every label takes part."""
    if prompts.points is None:
        return prompts
    points = torch.cat([prompts.points, prompts.points[:, :, :1]], dim=2)
    labels = torch.cat([prompts.point_labels, torch.full_like(prompts.point_labels[:, :, :1], -1)], dim=2)
    return Prompts(points, labels, prompts.boxes, prompts.masks)


def trainable(refiner):
    return {name: parameter for name, parameter in refiner.named_parameters() if parameter.requires_grad}


def test_every_architecture_has_a_tiny_one():
    assert TINY.keys() == FAMILIES.keys()


@pytest.mark.parametrize('model_type', TINY)
def test_every_architecture_keeps_the_contract(model_type):
    check_refiner(dict(type='TransformersRefiner', arch=TINY[model_type], encoder='trained'))


@pytest.mark.parametrize('name', ['sam2-1_hiera-tiny', 'sam-hq_vit-b', 'edgetam', 'sam2-small'])
def test_fragments_build_without_network(name):
    if name == 'edgetam':
        pytest.importorskip('timm')
    path = Path(__file__).resolve().parents[3] / 'configs' / '_base_' / 'models' / f'refiner_{name}.py'
    with torch.device('meta'):
        refiner = REFINERS.build(Config.fromfile(path).refiner)
    assert trainable(refiner)


# segment-anything's ViT-B, L and H. Its position encoding is a buffer, that of `transformers` may be a parameter.
@pytest.mark.parametrize(
    'name, count',
    [
        ('facebook/sam-vit-base', 93_735_472),
        ('facebook/sam-vit-large', 312_342_832),
        ('facebook/sam-vit-huge', 641_090_608),
    ],
)
def test_published_sam_has_the_parameters_of_segment_anything(name, count):
    with torch.device('meta'):
        refiner = TransformersRefiner(name)
    counted = (p for name, p in refiner.named_parameters() if 'positional_embedding' not in name)
    assert sum(parameter.numel() for parameter in counted) == count


@pytest.mark.parametrize('size, millions', [('tiny', 38.9), ('small', 46.0), ('base-plus', 80.8), ('large', 224.4)])
def test_published_sam_2_with_its_memory_has_the_parameters_that_its_readme_lists(size, millions):
    from transformers import Sam2VideoConfig, Sam2VideoModel

    with torch.device('meta'):
        image = TransformersRefiner(f'facebook/sam2.1-hiera-{size}').model
        video = Sam2VideoModel(Sam2VideoConfig(vision_config=image.config.vision_config))
    assert sum(parameter.numel() for parameter in video.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize('name', [name for name in PUBLISHED if 'EdgeTAM' not in name])
def test_every_published_architecture_builds_without_network_at_its_input_size(name):
    with torch.device('meta'):
        refiner = TransformersRefiner(pretrained=name)
    assert refiner.input_profile.size == (1024, 1024) and refiner.frame.mask_input_size == (256, 256)
    assert all(parameter.is_meta for parameter in refiner.parameters())


def test_published_edgetam_has_the_parameters_that_its_readme_lists():
    pytest.importorskip('timm')
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

    with torch.device('meta'):
        image = TransformersRefiner('yonigozlan/EdgeTAM-hf').model
        video = EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=image.config.vision_config))
    assert sum(parameter.numel() for parameter in video.parameters()) / 1e6 == pytest.approx(13.9, abs=0.1)


@pytest.mark.parametrize('model_type', TINY)
def test_random_weights_have_one_position_encoding_of_sams_frequencies(model_type):
    torch.manual_seed(0)
    model = TransformersRefiner(TINY[model_type]).model
    cells, prompts = (
        part.positional_embedding for part in (model.shared_image_embedding, model.prompt_encoder.shared_embedding)
    )
    assert torch.equal(cells, prompts) and 0.7 < cells.std() < 1.3
    assert not cells.requires_grad and not prompts.requires_grad


@pytest.mark.parametrize('model_type', TINY)
def test_image_size_stands_for_the_input_of_every_part(model_type):
    refiner = TransformersRefiner(dict(TINY[model_type], image_size=96))
    assert refiner.input_profile.size == (96, 96)
    with torch.no_grad():
        output = refiner(IMAGES, coarse(2), random_prompts(2), (20, 30))
    assert output.logits.shape == (2, 1, 20, 30) and output.candidates.shape[-2:] == refiner.frame.mask_input_size


@pytest.mark.parametrize(
    'model_type, selection',
    [
        *((model_type, 'ArgmaxSelection') for model_type in TINY),
        ('sam', 'SoftmaxSelection'),
        ('sam_hq', 'SingleMaskSelection'),
        ('sam2', 'SingleMaskSelection'),
    ],
)
def test_what_trains_is_what_has_a_gradient(model_type, selection):
    refiner = tiny(model_type, encoder='frozen', selection=dict(type=selection)).train()
    embedding, before = refiner.encode_image(IMAGES), trainable(refiner)
    for kinds, quality_used in [*((kinds, False) for kinds in SUBSETS), (SUBSETS[-1], True)]:
        prompts = with_padding_point(random_prompts(2, 1, kinds))
        output = refiner.decode(embedding, coarse(2), prompts, (16, 16))
        # The candidates too: argmax alone gives the ones that it leaves no gradient, in this batch.
        loss = output.logits.square().sum() + output.candidates.square().sum()
        loss = loss + (output.candidate_quality.square().sum() if quality_used else 0)
        gradients = torch.autograd.grad(loss, list(before.values()), allow_unused=True)
        reached = {name for name, gradient in zip(before, gradients) if gradient is not None and gradient.any()}
        frozen = copy.deepcopy(refiner)
        frozen.freeze_unused(frozenset(kinds), quality_used)
        assert trainable(frozen).keys() == reached, (kinds, quality_used)


@pytest.mark.parametrize('model_type', TINY)
def test_all_of_a_trained_encoder_has_a_gradient(model_type):
    refiner = tiny(model_type, encoder='trained')
    before = trainable(refiner.model.vision_encoder)
    output = refiner(IMAGES, coarse(2), random_prompts(2), (16, 16))
    gradients = torch.autograd.grad(output.logits.square().sum(), list(before.values()))
    assert all(gradient.any() for gradient in gradients) and len(before) > 8


def test_the_level_that_only_sam_3s_detector_reads_is_frozen():
    vision = dict(TINY['sam3_tracker']['vision_config'], scale_factors=[4.0, 2.0, 1.0, 0.5])
    refiner = tiny('sam3_tracker', arch=dict(TINY['sam3_tracker'], vision_config=vision))
    frozen = [name for name, p in refiner.model.vision_encoder.named_parameters() if not p.requires_grad]
    assert frozen and all(name.startswith('neck.fpn_layers.3.') for name in frozen)
    output = refiner(IMAGES, coarse(2), random_prompts(2), (16, 16))
    (gradient,) = torch.autograd.grad(output.logits.square().sum(), refiner.model.no_memory_embedding)
    assert gradient.any()


@pytest.mark.parametrize('model_type', TINY)
def test_a_kind_that_is_left_out_of_a_batch_still_takes_part(model_type):
    refiner = tiny(model_type, encoder='frozen').train()
    refiner.freeze_unused(frozenset(('points', 'boxes', 'masks')), quality_used=False)
    embedding, parameters = refiner.encode_image(IMAGES), trainable(refiner).values()
    for kinds in SUBSETS:
        output = refiner.decode(embedding, coarse(2), random_prompts(2, 1, kinds), (16, 16))
        gradients = torch.autograd.grad(output.logits.sum(), list(parameters), allow_unused=True)
        assert all(gradient is not None for gradient in gradients), kinds


@pytest.mark.parametrize('kind', ['points', 'boxes', 'masks'])
@pytest.mark.parametrize('model_type', TINY)
def test_gradient_reaches_each_kind_of_prompt_alone(model_type, kind):
    refiner = tiny(model_type, encoder='frozen')
    prompts = random_prompts(2, 2, (kind,))
    value = getattr(prompts, kind).requires_grad_()
    output = refiner(IMAGES, coarse(2, 2), prompts, (32, 32))
    (gradient,) = torch.autograd.grad(output.logits.square().sum(), value)
    assert torch.isfinite(gradient).all() and (gradient.flatten(2).abs().sum(-1) > 0).all()


@pytest.mark.parametrize('model_type', TINY)
def test_frozen_encoder_stays_in_evaluation_mode_and_builds_no_graph(model_type):
    refiner = tiny(model_type, encoder='frozen').train()
    assert not any(part.training for part in refiner.model.vision_encoder.modules())
    assert refiner.model.mask_decoder.training
    embedding = refiner.encode_image(IMAGES)
    assert not any(part.requires_grad for part in (embedding.features, *embedding.levels))
    assert not any(name.startswith('model.vision_encoder') for name in trainable(refiner))


@pytest.mark.parametrize('model_type', TINY)
def test_lora_starts_as_the_plain_model_and_alone_trains_in_the_encoder(model_type):
    adapter = dict(type='LoRAAdapter', target_modules=QKV[model_type], r=2)
    adapted, plain = TransformersRefiner(TINY[model_type], encoder=adapter).eval(), tiny(model_type)
    names = {name: adapted.adapter.plain_key(name) for name in adapted.state_dict()}
    adapted.load_state_dict({n: plain.state_dict()[p] for n, p in names.items() if p is not None}, strict=False)
    with torch.no_grad():
        outputs = [refiner(IMAGES, coarse(2), random_prompts(2), (20, 30)).logits for refiner in (adapted, plain)]
    torch.testing.assert_close(*outputs)
    in_encoder = [name for name in trainable(adapted) if name.startswith('model.vision_encoder')]
    assert in_encoder and all('.lora_' in name for name in in_encoder)


@pytest.mark.parametrize('model_type', TINY)
def test_half_precision_keeps_the_coordinates_exact(model_type):
    refiner, seen = tiny(model_type), []
    refiner.model.mask_decoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(
            (kwargs['sparse_prompt_embeddings'], kwargs['image_positional_embeddings'])
        ),
        with_kwargs=True,
    )
    for enabled in (False, True):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            refiner(IMAGES, coarse(2), random_prompts(2), (32, 32))
    assert torch.equal(seen[0][0], seen[1][0]) and torch.equal(seen[0][1], seen[1][1])


def test_a_padded_input_gives_sam_2_nothing_of_the_padding():
    profile = dict(size=(128, 128), keep_ratio=True)
    refiner = tiny('sam2', input_profile=profile)
    embedding = refiner.encode_image([random_image(64, 128)])
    assert embedding.content.tolist() == [[64, 128]]
    low_res = torch.zeros(1, 1, 32, 32)
    low_res[..., 16:, :] = 100.0
    assert refiner.family.to_image(low_res, embedding.content, refiner.frame, (64, 128))[..., :62, :].abs().max() == 0


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(arch=None), ['neither arch nor pretrained', 'facebook/sam2.1-hiera-tiny']),
        (dict(arch='facebook/sam-vit-b'), ['facebook/sam-vit-b', 'facebook/sam-vit-base', 'model_type']),
        (dict(arch=dict(image_size=64)), ['None', 'sam_hq', 'edgetam']),
        (dict(arch=dict(model_type='sam3')), ['sam3', 'text', 'sam3_tracker']),
        (dict(arch=dict(TINY['sam'], image_size=100)), ['100', 'patch size 8']),
        (dict(arch=dict(TINY['sam'], vision_config=dict(hiden_size=8))), ['arch.vision_config', 'hidden_size']),
        (dict(arch=dict(TINY['sam2'], mask_decoder=dict())), ["arch has 'mask_decoder'", 'mask_decoder_config']),
        (dict(arch=dict(TINY['sam_hq'], vision_config=WINDOWED)), ['first global block', '[5]', '2 blocks']),
        (dict(encoder='unfrozen'), ['TransformersRefiner', 'unfrozen', 'frozen', 'trained', 'LoRAAdapter']),
        (dict(input_profile='mobile'), ['TransformersRefiner', 'mobile', 'medsam', 'sam2']),
        (dict(input_profile=dict(size=(32, 32))), ['(32, 32)', '64 x 64']),
    ],
)
def test_wrong_arguments_are_answered_with_what_is_expected(options, words):
    with pytest.raises(ValueError) as error:
        TransformersRefiner(**{**dict(arch=TINY['sam']), **options})
    assert all(word in str(error.value) for word in words)


def test_a_missing_package_is_named(monkeypatch):
    import transformers

    monkeypatch.setattr(FAMILIES['sam2'], 'prefix', 'Sam9')
    with pytest.raises(ImportError, match=f'transformers {transformers.__version__} has no Sam9Model.*--upgrade'):
        TransformersRefiner(TINY['sam2'])


def test_a_missing_timm_is_named(monkeypatch):
    def classes():
        raise ImportError('TimmWrapperConfig requires the timm library but it was not found in your environment.')

    monkeypatch.setattr(FAMILIES['edgetam'], 'classes', classes)
    with pytest.raises(ImportError, match='edgetam needs the package timm.*pip install timm'):
        TransformersRefiner('yonigozlan/EdgeTAM-hf')
