"""InputProfile: parity with segment_anything's preprocessing, and the numbers by hand."""

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide

from ultrarefiner.structures import MEDSAM_PROFILE, SAM_PROFILE, InputProfile


@pytest.mark.parametrize('shape', [(47, 33), (60, 64), (20, 64), (130, 97)])
def test_sam_profile_equals_segment_anything(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    size = 64
    profile = InputProfile(
        size=(size, size), keep_ratio=True, value_range='none', mean=SAM_PROFILE.mean, std=SAM_PROFILE.std
    )
    ours, content = profile.prepare([torch.from_numpy(image).permute(2, 0, 1)])
    resized = torch.from_numpy(ResizeLongestSide(size).apply_image(image)).permute(2, 0, 1)[None]
    sam = Sam(torch.nn.Module(), torch.nn.Module(), torch.nn.Module())
    sam.image_encoder.img_size = size
    assert content.tolist() == [list(resized.shape[-2:])]
    torch.testing.assert_close(ours, sam.preprocess(resized))


def test_a_line_of_pixels_keeps_one_row():
    profile = InputProfile(size=(64, 64), keep_ratio=True)
    assert profile.content_size(1, 900) == (1, 64) and profile.content_size(900, 1) == (64, 1)


def test_medsam_profile_maps_each_image_to_the_unit_range():
    images = [
        torch.randint(40, 90, (3, 30, 20), dtype=torch.uint8),
        torch.randint(0, 256, (3, 9, 50), dtype=torch.uint8),
    ]
    profile = InputProfile(size=(32, 32), value_range='minmax', interpolation=MEDSAM_PROFILE.interpolation)
    batch, content = profile.prepare(images)
    assert batch.shape == (2, 3, 32, 32)
    assert batch.amin(dim=(1, 2, 3)).tolist() == [0, 0] and batch.amax(dim=(1, 2, 3)).tolist() == [1, 1]
    assert content.tolist() == [[32, 32], [32, 32]]


def test_a_constant_image_stays_finite_under_minmax():
    profile = InputProfile(size=(8, 8), value_range='minmax')
    assert torch.equal(profile.prepare([torch.full((3, 8, 8), 7, dtype=torch.uint8)])[0], torch.zeros(1, 3, 8, 8))


def test_grey_is_the_luma_of_itu_601():
    image = torch.tensor([200, 100, 50], dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 4)
    batch, _ = InputProfile(size=(4, 4), grey=True).prepare([image])
    assert batch.shape == (1, 1, 4, 4)
    assert batch.mean().item() == pytest.approx((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255, abs=1e-6)


def test_padding_is_zero_after_normalising():
    profile = InputProfile(size=(16, 16), keep_ratio=True, value_range='none', mean=(100.0,), std=(10.0,))
    batch, content = profile.prepare([torch.full((3, 8, 16), 200, dtype=torch.uint8)])
    assert content.tolist() == [[8, 16]]
    assert torch.equal(batch[0, :, :8], torch.full((3, 8, 16), 10.0))
    assert torch.equal(batch[0, :, 8:], torch.zeros(3, 8, 16))


@pytest.mark.parametrize(
    'wrong',
    [
        dict(size=(0, 4)),
        dict(size=(4, 4), value_range='imagenet'),
        dict(size=(4, 4), mean=(1, 2)),
        dict(size=(4, 4), interpolation='nearest'),
        dict(size=(4, 4), grey=True, std=(1, 1, 1)),
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match='InputProfile'):
        InputProfile(**wrong)


def test_profile_survives_a_checkpoint():
    assert InputProfile(**SAM_PROFILE.as_dict()) == SAM_PROFILE
