"""ROIRefiner: where the window lies, what goes into it, and how the result comes back."""

import pytest
import torch
from sam_makers import random_image, tiny_refiner
from spy_refiner import SpyRefiner, disc_logits
from torch.nn import functional as F

from ultrarefiner.models.refiners import ConvRefiner, IdentityRefiner, ROIRefiner
from ultrarefiner.models.refiners.roi_windows import object_windows, paste_maps
from ultrarefiner.structures import Prompts, SegOutput
from ultrarefiner.testing.toy_masks import ellipse_logits, toy_prompts

KINDS = frozenset({'points', 'boxes', 'masks'})


def windows_of(box, image_size, margin=0.5, min_size=8, valid=True):
    sizes = torch.tensor([image_size])
    boxes = torch.tensor([[box]]) / sizes.flip(-1).repeat(1, 2)
    return object_windows(boxes, torch.tensor([[valid]]), sizes, margin, min_size)[0, 0].tolist()


@pytest.mark.parametrize(
    'box, image_size, window',
    [
        ((40.0, 50.0, 60.0, 60.0), (100, 120), [30, 35, 70, 75]),  # a square of twice the longer side
        ((0.0, 50.0, 20.0, 60.0), (100, 120), [0, 35, 40, 75]),  # shifted into the image, on each side
        ((100.0, 90.0, 120.0, 100.0), (100, 120), [80, 60, 120, 100]),
        ((30.0, 10.0, 70.0, 30.0), (60, 120), [10, 0, 90, 60]),  # cut where the image is too low
        ((3.0, 4.0, 117.0, 55.0), (60, 120), [0, 0, 120, 60]),
        ((60.0, 50.0, 61.0, 51.0), (100, 120), [56, 46, 64, 54]),  # never below min_size
    ],
)
def test_windows_by_hand(box, image_size, window):
    assert windows_of(box, image_size) == window


def test_a_slot_that_is_not_valid_gets_the_whole_image():
    assert windows_of((40.0, 50.0, 60.0, 60.0), (100, 120), valid=False) == [0, 0, 120, 100]


@pytest.mark.parametrize('sizes', [[(64, 64)], [(101, 77)], [(90, 230)]], ids=str)
def test_crop_and_paste_change_nothing_at_the_size_of_the_image(sizes):
    images, coarse = [random_image(*size) for size in sizes], SegOutput(ellipse_logits(1, 3))
    prompts = toy_prompts(1, 3, KINDS)
    expected = IdentityRefiner()(images, coarse, prompts, sizes[0]).logits
    for options in (dict(), dict(margin=0.0, min_size=1), dict(feather=0.0)):
        roi = ROIRefiner(IdentityRefiner(), **options)
        torch.testing.assert_close(roi(images, coarse, prompts, sizes[0]).logits, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize('size', [(192, 192), (64, 80)])
def test_at_other_sizes_the_logits_are_off_by_no_more_than_the_documented_bound(size):
    images, coarse = [random_image(101, 77)], SegOutput(ellipse_logits(1, 1))
    roi, prompts = ROIRefiner(IdentityRefiner(), min_size=8), Prompts()
    x0, y0, x1, y1 = roi._windows(roi.encode_image(images), coarse, prompts).flatten().tolist()
    bound = 0.0
    for dim, extent in ((-2, (y1 - y0) / 101), (-1, (x1 - x0) / 77)):
        spacing = extent * coarse.logits.shape[dim] / size[dim]  # coarse pixels in a pixel of the window's grid
        assert spacing < 1
        bound += coarse.logits.diff(n=2, dim=dim).abs().max().item() * spacing / 4
    moved = (roi(images, coarse, prompts, size).logits - F.interpolate(coarse.logits, size, mode='bilinear')).abs()
    assert 0 < moved.max() <= bound < 1.5


def test_a_small_lesion_gets_more_pixels():
    image = torch.zeros(3, 120, 100, dtype=torch.uint8)
    image[:, 60:72, 20:32] = 255
    coarse = SegOutput(disc_logits((120, 100), (26, 66), 6))
    spy = SpyRefiner()
    for refiner in (spy, ROIRefiner(spy, min_size=16)):
        refiner([image], coarse, Prompts(), (120, 100))
    (whole,), (crop,) = spy.images
    assert torch.equal(crop, image[:, 54:78, 14:38])  # the original pixels, twice the box of 12 pixels
    seen = [float(spy.input_profile.prepare([pixels])[0].mean() * 32 * 32) for pixels in (whole, crop)]
    assert seen == pytest.approx([144 * 32 * 32 / (120 * 100), 32 * 32 / 4], rel=0.02)


def test_prompts_and_coarse_logits_are_carried_into_the_window():
    coarse = SegOutput(disc_logits((80, 100), (30, 40), 10))  # box 20 to 40, 30 to 50: window 10 to 50, 20 to 60
    ramp = ((torch.arange(100) + 0.5) / 100).expand(1, 1, 80, 100)
    prompts = Prompts(
        points=torch.tensor([[[[0.3, 0.5], [0.2, 0.3], [0.6, 0.5], [0.3, 0.5]]]]),
        point_labels=torch.tensor([[[1, 0, 0, -1]]]),
        boxes=torch.tensor([[[0.05, 0.375, 0.4, 0.625]]]),
        masks=ramp,
        valid=torch.tensor([[True]]),
    )
    spy = SpyRefiner()
    ROIRefiner(spy, min_size=8)([random_image(80, 100)], coarse, prompts, (80, 100))
    ((inside, cropped, size),) = spy.calls
    assert size == (40, 40)
    torch.testing.assert_close(inside.logits, coarse.logits[..., 20:60, 10:50], atol=1e-4, rtol=0)
    torch.testing.assert_close(cropped.points[0, 0, :2], torch.tensor([[0.5, 0.5], [0.25, 0.1]]))
    assert cropped.point_labels.tolist() == [[[1, 0, -1, -1]]]
    assert ((cropped.points >= 0) & (cropped.points <= 1)).all()
    torch.testing.assert_close(cropped.boxes, torch.tensor([[[0.0, 0.25, 0.75, 0.75]]]))
    torch.testing.assert_close(cropped.masks[0, 0, 0], 0.1 + 0.4 * (torch.arange(100) + 0.5) / 100)
    assert cropped.valid.tolist() == [[True]]


def test_outside_of_the_window_the_coarse_logits_stay_and_a_rim_is_mixed():
    coarse = SegOutput(disc_logits((80, 100), (30, 40), 10))
    roi = ROIRefiner(SpyRefiner(7.0), min_size=8, feather=0.1)  # window 10 to 50, 20 to 60, rim of 4 pixels
    output = roi([random_image(80, 100)], coarse, Prompts(), (80, 100))
    outside = torch.ones(80, 100, dtype=torch.bool)
    outside[20:60, 10:50] = False
    for logits in (output.logits[0, 0], output.candidates[0, 0, 0]):
        assert torch.equal(logits[outside], coarse.logits[0, 0][outside])
        torch.testing.assert_close(logits[24:56, 14:46], torch.full((32, 32), 7.0))
        # Pixel centres 0.5 to 3.5 of 4 pixels inside of the left border, where the coarse logit is -6.
        torch.testing.assert_close(logits[40, 10:14], -6 + 13 * torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert output.quality.tolist() == [[0.5]] and output.candidate_quality.tolist() == [[[0.5]]]


def test_there_is_no_rim_where_the_window_ends_with_the_image():
    windows, sizes = torch.tensor([[[0, 10, 40, 50]]]), torch.tensor([[80, 100]])
    pasted = paste_maps(torch.ones(1, 1, 40, 40), torch.zeros(1, 1, 80, 100), windows, sizes, feather=0.1)[0, 0]
    assert (pasted[30, :36] == 1).all() and pasted[30, 36:41].tolist() == pytest.approx([0.875, 0.625, 0.375, 0.125, 0])
    assert pasted[9:14, 0].tolist() == pytest.approx([0, 0.125, 0.375, 0.625, 0.875])


@pytest.mark.parametrize('valid', [None, False])
def test_an_empty_or_invalid_slot_is_refined_on_the_whole_image(valid):
    image, logits = random_image(50, 70), torch.full((1, 1, 50, 70), -4.0)
    if valid is False:
        logits = disc_logits((50, 70), (30, 20), 8)
    spy = SpyRefiner()
    prompts = Prompts(valid=None if valid is None else torch.tensor([[valid]]))
    output = ROIRefiner(spy)([image], SegOutput(logits), prompts, (25, 35))
    assert torch.equal(spy.images[0][0], image)
    torch.testing.assert_close(output.logits, torch.full((1, 1, 25, 35), 7.0))


def trained_conv():
    torch.manual_seed(0)
    refiner = ConvRefiner(input_size=(32, 32), width=8, depth=3, norm_groups=4)
    torch.nn.init.normal_(refiner.residual.weight)
    return refiner.eval()


@pytest.mark.parametrize('make', [trained_conv, tiny_refiner])
def test_a_batch_equals_its_images_and_slots_one_by_one(make):
    # The first image is decoded at its own pixels, a window of another size for every slot, the others at `size`.
    roi = ROIRefiner(make(), min_size=16)
    images = [random_image(*size, seed) for seed, size in enumerate([(60, 44), (64, 64), (33, 80)])]
    coarse, prompts = SegOutput(ellipse_logits(3, 2)), toy_prompts(3, 2, KINDS)
    with torch.no_grad():
        batch = roi(images, coarse, prompts, (60, 44))
        for n, image in enumerate(images):
            for k in range(2):
                one = prompts[n : n + 1]._map(lambda value, k=k: value[:, k : k + 1])
                alone = roi([image], SegOutput(coarse.logits[n : n + 1, k : k + 1]), one, (60, 44))
                for name, value in alone._asdict().items():
                    found = getattr(batch, name)
                    if value is not None:
                        torch.testing.assert_close(found[n, k], value[0, 0], atol=1e-4, rtol=0)
    assert batch.logits.std() > 0.1


def test_gradient_flows_through_the_crop_as_through_a_resize():
    coarse = disc_logits((40, 40), (20, 20), 6).requires_grad_()
    roi = ROIRefiner(IdentityRefiner(), min_size=8)
    output = roi([random_image(40, 40)], SegOutput(coarse), Prompts(), (40, 40))
    (gradient,) = torch.autograd.grad(output.logits.sum(), coarse)
    torch.testing.assert_close(gradient, torch.ones_like(coarse), atol=1e-3, rtol=0)


def test_the_held_refiner_speaks_for_the_wrapper():
    inner = tiny_refiner()
    roi = ROIRefiner(inner)
    assert roi.accepts == inner.accepts and roi.input_profile == inner.input_profile
    roi.freeze_unused(frozenset({'points'}), quality_used=False)
    frozen = {name for name, weight in roi.named_parameters() if not weight.requires_grad}
    assert any('mask_downscaling' in name for name in frozen) and any('iou_prediction_head' in name for name in frozen)


@pytest.mark.parametrize('options', [dict(margin=-0.1), dict(min_size=0), dict(feather=0.5)], ids=str)
def test_arguments_out_of_range_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f'{name}.*{value}'):
        ROIRefiner(IdentityRefiner(), **options)
