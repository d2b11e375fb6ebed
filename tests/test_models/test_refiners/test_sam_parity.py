"""The masks and IoU scores of SAMRefiner are those of segment_anything's SamPredictor."""

import numpy as np
import pytest
import torch
from sam_makers import coarse, original_sam, random_image, random_prompts, tiny_refiner
from segment_anything import SamPredictor, sam_model_registry

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.models.refiners.sam_decoding import predict_candidates
from ultrarefiner.models.refiners.sam_prompts import PADDING_LOGIT
from ultrarefiner.structures import Prompts

KINDS = [('points',), ('boxes',), ('masks',), ('points', 'boxes'), ('points', 'boxes', 'masks')]
# Sizes whose image covers a whole number of low-res pixels (24 x 32, 32 x 16, 32 x 32), so that a mask prompt can be
# written for SamPredictor, which takes it over the padded square, without resampling.
SIZES = [(90, 120), (100, 50), (64, 64)]


def predict_both(refiner, sam, image, points, labels, box, mask):
    """The same prompts to both: ours normalised, SamPredictor's in pixels of the original image.

    Both encode a point at ``u * content``: ours gives SAM the pixel index ``u * content - 0.5``, and SAM adds a half.
    SamPredictor multiplies its pixels by content / W before SAM adds the half, so ``u`` is ``W u - W / (2 content)``
    there: a half pixel of SAM's input, not of the image.
    """
    height, width = image.shape[-2:]
    prompts = Prompts(
        points=None if points is None else points[None, None],
        point_labels=None if points is None else labels[None, None],
        boxes=None if box is None else box[None, None],
        masks=None if mask is None else mask[None, None],
    )
    with torch.no_grad():
        ours = refiner([image], coarse(1), prompts, (height, width))

    content = refiner.input_profile.content_size(height, width)
    side = np.array([width, height])
    half = side / (2 * np.array(content[::-1]))
    pixels = None if points is None else points.numpy() * side - half
    corners = None if box is None else (box.view(2, 2).numpy() * side - half).reshape(4)
    padded = None
    if mask is not None:
        padded = np.full((1, *refiner.prompt_encoder.mask_input_size), PADDING_LOGIT, dtype=np.float32)
        padded[0, : mask.shape[0], : mask.shape[1]] = mask.numpy()
    predictor = SamPredictor(sam)
    predictor.set_image(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    theirs = predictor.predict(
        pixels, None if points is None else labels.numpy(), corners, padded, multimask_output=True, return_logits=True
    )
    return ours, theirs


def assert_equal_results(ours, theirs, tolerance=1e-4):
    masks, quality, _ = (torch.from_numpy(part) for part in theirs)
    best = quality.argmax()
    differences = [
        (ours.candidate_quality[0, 0] - quality).abs().max(),
        (ours.quality[0, 0] - quality[best]).abs(),
        (ours.logits[0, 0] - masks[best]).abs().max(),
    ]
    assert max(differences) <= tolerance
    return [difference.item() for difference in differences]


def make_prompts(kinds, covered):
    generator = torch.Generator().manual_seed(1)
    points, labels = torch.tensor([[0.3, 0.4], [0.8, 0.7]]), torch.tensor([1, 0])
    mask = 5 * torch.randn(covered, generator=generator)
    return (
        points if 'points' in kinds else None,
        labels if 'points' in kinds else None,
        torch.tensor([0.1, 0.2, 0.7, 0.9]) if 'boxes' in kinds else None,
        mask if 'masks' in kinds else None,
    )


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('kinds', KINDS, ids='-'.join)
def test_masks_and_scores_equal_sam_predictor(kinds, size):
    refiner = tiny_refiner()
    content = refiner.input_profile.content_size(*size)
    prompts = make_prompts(kinds, (content[0] // 2, content[1] // 2))
    ours, theirs = predict_both(refiner, original_sam(refiner), random_image(*size), *prompts)
    assert theirs[0].std() > 0.1  # the weights are not degenerate
    assert_equal_results(ours, theirs)


def test_low_res_logits_equal_mask_decoder_with_padding_labels_and_several_slots():
    refiner = tiny_refiner()
    encoder, decoder = refiner.prompt_encoder, refiner.mask_decoder
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(1, 32, 8, 8, generator=generator)
    labels = torch.tensor([[1, 0, -1], [1, -1, -1], [0, 1, 1]])
    with torch.no_grad():
        sparse, dense = encoder((64 * torch.rand(3, 3, 2, generator=generator), labels), None, None)
        theirs = decoder(features, encoder.get_dense_pe(), sparse, dense, multimask_output=True)
        ours = predict_candidates(decoder, features.expand(3, -1, -1, -1), encoder.get_dense_pe(), sparse, dense)
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-5, rtol=0)


def test_candidates_of_a_square_image_are_the_low_res_logits():
    refiner = tiny_refiner()
    ours, theirs = predict_both(
        refiner, original_sam(refiner), random_image(64, 64), *make_prompts(('points',), (32, 32))
    )
    torch.testing.assert_close(ours.candidates[0, 0], torch.from_numpy(theirs[2]), atol=1e-4, rtol=0)


@pytest.mark.parametrize('kinds', KINDS, ids='-'.join)
@pytest.mark.parametrize('slots', [1, 2])
def test_a_batch_equals_its_images_and_slots_one_by_one(kinds, slots):
    refiner = tiny_refiner()
    images = [random_image(*size, seed) for seed, size in enumerate([(50, 80), (64, 64), (90, 33)])]
    prompts = random_prompts(3, slots, kinds)
    with torch.no_grad():
        batch = refiner(images, coarse(3, slots), prompts, (40, 40))
        for n, image in enumerate(images):
            for k in range(slots):
                one = prompts[n : n + 1]._map(lambda value, k=k: value[:, k : k + 1])
                alone = refiner([image], coarse(1), one, (40, 40))
                for name, value in alone._asdict().items():
                    found = getattr(batch, name)[n, k]
                    torch.testing.assert_close(found, value[0, 0], atol=1e-4, rtol=0, msg=f'{name} of {n}, {k}')


@pytest.mark.slow
def test_full_size_vit_b_equals_sam_predictor():
    torch.manual_seed(0)
    sam = sam_model_registry['vit_b']().eval()
    refiner = SAMRefiner().eval()
    refiner.load_state_dict(sam.state_dict())
    prompts = make_prompts(('points', 'boxes', 'masks'), (192, 256))
    ours, theirs = predict_both(refiner, sam, random_image(600, 800), *prompts)
    print('largest differences (scores, best score, mask):', assert_equal_results(ours, theirs))
