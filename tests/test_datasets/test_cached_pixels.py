"""Pixels that were kept are those of the file as it is, and a sample is the same with and without them."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from ultrarefiner.datasets import ConvertedDataset
from ultrarefiner.datasets.cached_pixels import cached_pixels
from ultrarefiner.datasets.transforms import LoadImage

PIPELINE = [dict(type='LoadImage', grey_channels=1), dict(type='LoadMask'), dict(type='PackRefinerInputs')]


class Decoder:
    """Decodes a PNG, and counts."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def __call__(self):
        self.count += 1
        return np.asarray(Image.open(self.path))


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 11), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    return tmp_path / 'a.png', pixels


def test_a_file_is_decoded_once_and_anew_when_it_changes(image, tmp_path):
    path, pixels = image
    decode, folder = Decoder(path), tmp_path / 'kept'
    for _ in range(3):
        np.testing.assert_array_equal(cached_pixels(folder, path, 'grey', decode), pixels)
    assert decode.count == 1
    Image.fromarray(255 - pixels).save(path)
    np.testing.assert_array_equal(cached_pixels(folder, path, 'grey', decode), 255 - pixels)
    assert decode.count == 2
    cached_pixels(folder, path, 'another kind', decode)
    assert decode.count == 3 and len(list(folder.rglob('*.*'))) == 3


def test_without_a_folder_nothing_is_kept(image):
    decode = Decoder(image[0])
    for _ in range(2):
        cached_pixels(None, image[0], 'grey', decode)
    assert decode.count == 2


def test_a_stored_file_that_is_cut_is_written_again(image, tmp_path):
    path, pixels = image
    folder = tmp_path / 'kept'
    for size in (0, 5, 60, 140):
        cached_pixels(folder, path, 'grey', Decoder(path))
        (stored,) = folder.rglob('*.npy')
        stored.write_bytes(stored.read_bytes()[:size])
        np.testing.assert_array_equal(cached_pixels(folder, path, 'grey', Decoder(path)), pixels)
        np.testing.assert_array_equal(np.load(stored), pixels)


def test_a_file_that_cannot_be_decoded_leaves_nothing(tmp_path):
    (tmp_path / 'text.png').write_text('hello')
    with pytest.raises(OSError, match='cannot identify'):
        cached_pixels(tmp_path / 'kept', tmp_path / 'text.png', 'grey', Decoder(tmp_path / 'text.png'))
    assert not (tmp_path / 'kept').exists()


@pytest.mark.parametrize('channels', [1, 3])
def test_samples_are_the_same_with_and_without_a_folder(tiny_root, tmp_path, channels, clean_runner):
    init_default_scope('ultrarefiner')
    pipeline = [dict(PIPELINE[0], grey_channels=channels), *PIPELINE[1:]]

    def samples(**options):
        return list(ConvertedDataset(tiny_root, 'test', pipeline=pipeline, **options))

    expected, folder = samples(), str(tmp_path / 'kept')
    for made in (samples(pixel_dir=folder), samples(pixel_dir=folder)):
        for one, other in zip(made, expected, strict=True):
            assert torch.equal(one['inputs'], other['inputs'])
            assert torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)
            assert one['data_samples'].metainfo == other['data_samples'].metainfo
    assert len(list((tmp_path / 'kept').rglob('*.npy'))) == 4  # two images, two masks


def test_grey_and_colour_of_one_file_are_kept_apart(image, tmp_path):
    path, pixels = image
    item = dict(img_path=str(path), pixel_dir=str(tmp_path / 'kept'))
    for channels, shape in ((3, (9, 11, 3)), (1, (9, 11)), (3, (9, 11, 3)), (1, (9, 11))):
        loaded = LoadImage(grey_channels=channels)(dict(item))
        assert loaded['img'].shape == shape and loaded['ori_shape'] == loaded['img_shape'] == (9, 11)
        np.testing.assert_array_equal(loaded['img'].reshape(9, 11, -1)[..., 0], pixels)
