"""The masks and IoU scores of TransformersRefiner are those of the models in `transformers` with their processors."""

import re

import pytest
import torch
import transformers
from sam_makers import TINY as TINY_SAM
from sam_makers import coarse, random_image, random_prompts, randomise, tiny_refiner
from transformers_makers import TINY, tiny

from ultrarefiner.models.refiners import TransformersRefiner
from ultrarefiner.models.refiners.sam_prompts import PADDING_LOGIT
from ultrarefiner.structures import Prompts

KINDS = [('points',), ('boxes',), ('masks',), ('points', 'boxes'), ('points', 'boxes', 'masks')]


def original_model(refiner):
    """The model as `transformers` builds it, with the weights of ours."""
    model = type(refiner.model)(refiner.model.config).eval()
    model.load_state_dict(refiner.model.state_dict())
    return model


def original_processor(refiner):
    """The processor of the published weights, at the size of ours."""
    side, grid = refiner.frame.input_image_size[0], refiner.frame.mask_input_size[0]
    square = dict(height=side, width=side)
    if refiner.input_profile.keep_ratio:
        images = transformers.SamImageProcessor(
            size=dict(longest_edge=side), pad_size=square, mask_size=dict(longest_edge=grid)
        )
        name = 'SamHQProcessor' if 'HQ' in type(refiner.model).__name__ else 'SamProcessor'
        return getattr(transformers, name)(images)
    version = 3 if 'Sam3' in type(refiner.model).__name__ else 2
    images = getattr(transformers, f'Sam{version}ImageProcessor')(size=square)
    return getattr(transformers, {2: 'Sam2Processor', 3: 'Sam3TrackerProcessor'}[version])(images)


def predict_original(refiner, image, prompts, multimask_output=True):
    """The same prompts to `transformers`, in pixels of the original image.

    Both encode a point at ``u * content``: ours gives the model the pixel index ``u * content - 0.5``, and the model
    adds a half. The processor multiplies its pixels by content / W before that, so ``u`` is ``W u - W / (2 content)``
    there: a half pixel of the model's input, not of the image.
    """
    model, processor = original_model(refiner), original_processor(refiner)
    height, width = image.shape[-2:]
    content = refiner.input_profile.content_size(height, width)
    side = torch.tensor([width, height])
    half = side / (2 * torch.tensor(content[::-1]))
    inputs = {}
    if prompts.points is not None:
        inputs['input_points'] = (prompts.points * side - half).tolist()
        inputs['input_labels'] = prompts.point_labels.tolist()
    if prompts.boxes is not None:
        inputs['input_boxes'] = (prompts.boxes.unflatten(-1, (2, 2)) * side - half).flatten(2).tolist()
    batch = processor(images=image.permute(1, 2, 0).numpy(), return_tensors='pt', **inputs)
    # Pillow, which ours uses, and torchvision round a resized pixel to neighbouring grey levels.
    pixels, _ = refiner.input_profile.prepare([image])
    grey_levels = (batch['pixel_values'] - pixels).abs().max() * grey_level_scale(refiner.input_profile)
    assert grey_levels <= (1.01 if content != (height, width) else 1e-3)
    batch['pixel_values'] = pixels
    sizes = [batch.pop('original_sizes')]
    if 'reshaped_input_sizes' in batch:
        sizes.append(batch.pop('reshaped_input_sizes'))
    if prompts.masks is not None:
        mask = prompts.masks[0]
        batch['input_masks'] = torch.full((1, 1, *refiner.frame.mask_input_size), PADDING_LOGIT)
        batch['input_masks'][..., : mask.shape[-2], : mask.shape[-1]] = mask
    batch = {name: value.float() if value.is_floating_point() else value for name, value in batch.items()}
    with torch.no_grad():
        output = model(**batch, multimask_output=multimask_output)
    masks = processor.post_process_masks(output.pred_masks, *sizes, binarize=False)[0]  # (K, M, H, W)
    return masks, output.iou_scores[0], output.pred_masks[0]


def grey_level_scale(profile):
    return min(profile.std) * (255 if profile.value_range == 'unit' else 1)


def predict_ours(refiner, image, prompts):
    slots = next(value.shape[1] for value in (prompts.points, prompts.boxes, prompts.masks) if value is not None)
    with torch.no_grad():
        return refiner([image], coarse(1, slots), prompts, tuple(image.shape[-2:]))


def prompts_for(refiner, size, kinds, slots=1):
    """Prompts whose mask fills whole low-res pixels of what the image covers, so that it need not be resampled."""
    content = refiner.input_profile.content_size(*size)
    scale = refiner.frame.input_image_size[0] // refiner.frame.mask_input_size[0]
    masks = 5 * torch.randn(1, slots, *(side // scale for side in content), generator=torch.Generator().manual_seed(3))
    prompts = random_prompts(1, slots)
    return Prompts(prompts.points, prompts.point_labels, prompts.boxes, masks).keep(frozenset(kinds))


def assert_equal_results(ours, theirs, tolerance):
    masks, scores, low_res = theirs
    best = scores.argmax(dim=-1, keepdim=True)  # (K, 1)
    chosen = masks.gather(1, best[..., None, None].expand(-1, -1, *masks.shape[-2:]))[:, 0]
    assert chosen.std() > 0.1  # the weights are not degenerate
    apart = dict(
        scores=(ours.candidate_quality[0] - scores).abs().max(),
        best_score=(ours.quality[0] - scores.gather(1, best)[:, 0]).abs().max(),
        mask=(ours.logits[0] - chosen).abs().max() / chosen.std(),
    )
    assert max(apart.values()) <= tolerance, apart


@pytest.mark.parametrize('kinds', KINDS, ids='-'.join)
@pytest.mark.parametrize('model_type', TINY)
def test_masks_and_scores_of_an_image_of_the_input_size(model_type, kinds):
    refiner = tiny(model_type)
    side = refiner.frame.input_image_size[0]
    size = (side * 3 // 4, side) if refiner.input_profile.keep_ratio else (side, side)
    image, prompts = random_image(*size), prompts_for(refiner, size, kinds)
    assert_equal_results(predict_ours(refiner, image, prompts), predict_original(refiner, image, prompts), 1e-4)


@pytest.mark.parametrize('model_type', TINY)
def test_masks_and_scores_of_an_image_of_another_size_and_two_slots(model_type):
    refiner = tiny(model_type)
    image, prompts = random_image(90, 150), prompts_for(refiner, (90, 150), ('points', 'boxes'), slots=2)
    assert_equal_results(predict_ours(refiner, image, prompts), predict_original(refiner, image, prompts), 1e-4)


@pytest.mark.parametrize('model_type', TINY)
def test_candidates_of_a_square_image_are_the_low_res_masks(model_type):
    refiner = tiny(model_type)
    size = refiner.frame.input_image_size
    image, prompts = random_image(*size), prompts_for(refiner, size, ('points', 'boxes'))
    ours, (_, _, low_res) = predict_ours(refiner, image, prompts), predict_original(refiner, image, prompts)
    torch.testing.assert_close(ours.candidates[0], low_res, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize('model_type', TINY)
def test_the_single_mask_is_that_of_multimask_output_false(model_type):
    refiner = tiny(model_type, selection=dict(type='SingleMaskSelection'))
    if hasattr(refiner.model.config.mask_decoder_config, 'dynamic_multimask_via_stability'):
        refiner.model.config.mask_decoder_config.dynamic_multimask_via_stability = False
    size = refiner.frame.input_image_size
    image, prompts = random_image(*size), prompts_for(refiner, size, ('points', 'boxes', 'masks'))
    theirs = predict_original(refiner, image, prompts, multimask_output=False)
    assert_equal_results(predict_ours(refiner, image, prompts), theirs, 1e-4)


# From segment-anything's names to those of `transformers`.
RENAMED = [
    (r'^image_encoder\.', 'vision_encoder.'),
    (r'^mask_decoder\.output_upscaling\.0', 'mask_decoder.upscale_conv1'),
    (r'^mask_decoder\.output_upscaling\.1', 'mask_decoder.upscale_layer_norm'),
    (r'^mask_decoder\.output_upscaling\.3', 'mask_decoder.upscale_conv2'),
    (r'mask_downscaling\.0', 'mask_embed.conv1'),
    (r'mask_downscaling\.1', 'mask_embed.layer_norm1'),
    (r'mask_downscaling\.3', 'mask_embed.conv2'),
    (r'mask_downscaling\.4', 'mask_embed.layer_norm2'),
    (r'mask_downscaling\.6', 'mask_embed.conv3'),
    (r'point_embeddings', 'point_embed'),
    (r'pe_layer\.positional_encoding_gaussian_matrix', 'shared_embedding.positional_embedding'),
    (r'patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'\.blocks\.', '.layers.'),
    (r'neck\.0', 'neck.conv1'),
    (r'neck\.1', 'neck.layer_norm1'),
    (r'neck\.2', 'neck.conv2'),
    (r'neck\.3', 'neck.layer_norm2'),
    (r'\.norm', '.layer_norm'),
    (r'(mlps\.\d|head)\.layers\.0', r'\1.proj_in'),
    (r'(mlps\.\d|head)\.layers\.2', r'\1.proj_out'),
    (r'(mlps\.\d|head)\.layers\.1', r'\1.layers.0'),
]


def renamed(name):
    for pattern, new in RENAMED:
        name = re.sub(pattern, new, name)
    return name


@pytest.mark.parametrize('profile', ['sam', 'medsam'])
@pytest.mark.parametrize('kinds', KINDS, ids='-'.join)
def test_sam_equals_sam_refiner_with_the_same_weights(kinds, profile):
    sam = tiny_refiner(input_profile=profile)
    vision = dict(TINY['sam']['vision_config'], hidden_size=TINY_SAM['embed_dim'])
    ours = TransformersRefiner(dict(TINY['sam'], vision_config=vision), input_profile=profile).eval()
    state = {renamed(name): value for name, value in sam.state_dict().items()}
    state['shared_image_embedding.positional_embedding'] = state['prompt_encoder.shared_embedding.positional_embedding']
    ours.model.load_state_dict(state)
    images = [random_image(40, 60), random_image(70, 30, seed=1)]
    prompts = random_prompts(2, 2, kinds)
    with torch.no_grad():
        expected, found = (refiner(images, coarse(2, 2), prompts, (40, 56)) for refiner in (sam, ours))
    for name, value in expected._asdict().items():
        torch.testing.assert_close(getattr(found, name), value, atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize('kinds', [('masks',), ('points', 'boxes', 'masks')], ids='-'.join)
@pytest.mark.parametrize('model_type', TINY)
def test_a_batch_equals_its_images_and_slots_one_by_one(model_type, kinds):
    refiner = tiny(model_type)
    images = [random_image(*size, seed) for seed, size in enumerate([(50, 80), (64, 64)])]
    prompts = random_prompts(2, 2, kinds)
    with torch.no_grad():
        batch = refiner(images, coarse(2, 2), prompts, (40, 40))
        for n, image in enumerate(images):
            for k in range(2):
                one = prompts[n : n + 1]._map(lambda value, k=k: value[:, k : k + 1])
                alone = refiner([image], coarse(1), one, (40, 40))
                for name, value in alone._asdict().items():
                    apart = (getattr(batch, name)[n, k] - value[0, 0]).abs().max() / (1 + value.abs().max())
                    assert apart <= 1e-4, f'{name} of {n}, {k}'


def test_edgetam_with_its_own_image_encoder():
    pytest.importorskip('timm')
    refiner = TransformersRefiner(dict(base='yonigozlan/EdgeTAM-hf', image_size=128)).eval()
    randomise(refiner.model.mask_decoder)
    image, prompts = random_image(128, 128), prompts_for(refiner, (128, 128), ('points', 'boxes', 'masks'))
    assert_equal_results(predict_ours(refiner, image, prompts), predict_original(refiner, image, prompts), 1e-4)
