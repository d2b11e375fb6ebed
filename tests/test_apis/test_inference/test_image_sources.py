"""What is given to be segmented: the same pixels however it comes, and everything wrong said at once."""

import numpy as np
import pytest
import torch
from PIL import Image

from ultrarefiner.apis.inference.image_sources import find_sources
from ultrarefiner.data_preparation.errors import DatasetError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (9, 12), dtype=np.uint8)
EXIF_ORIENTATION, ROTATED = 274, 6  # "the 0th row is the visual right-hand side": 90 degrees clockwise to show it


def names(images, **options):
    return [source.name for source in find_sources(images, **options)]


def read(image):
    (source,) = find_sources(image)
    return source.read()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'deep' / 'er').mkdir(parents=True)
    for name in ('b.png', 'a.jpg', 'deep/a.PNG', 'deep/er/c.bmp', '._b.png'):
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no image')
    return tmp_path


def test_a_folder_gives_its_images_sorted_and_sub_folders_if_asked(folder):
    assert names(folder) == ['a', 'b']
    assert names(str(folder), recursive=True) == ['a', 'b', 'deep/a', 'deep/er/c']
    assert find_sources(folder, recursive=True)[2].file_name == 'deep/a.PNG'


def test_a_pattern_keeps_the_folders_behind_its_plain_part(folder):
    assert names(f'{folder}/*.png') == ['b']
    assert names(f'{folder}/**/*', recursive=False) == ['a', 'b', 'deep/a', 'deep/er/c']
    assert names(f'{folder}/d*/*.PNG') == ['deep/a']


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'scan[1].png')
    assert names(tmp_path / 'scan[1].png') == ['scan[1]']


def test_pictures_in_memory_are_named_by_their_place(folder):
    given = [RGB, folder / 'b.png', Image.fromarray(GREY), torch.from_numpy(GREY)]
    assert names(given) == ['image_0', 'b', 'image_2', 'image_3']


def test_colour_is_the_same_however_it_comes(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    bgr = torch.from_numpy(RGB[..., ::-1].copy()).permute(2, 0, 1)
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)
    for image in (tmp_path / 'a.png', RGB, Image.fromarray(RGB), tensor):
        assert torch.equal(read(image), bgr)


def test_grey_keeps_one_channel_however_it_comes(tmp_path):
    Image.fromarray(GREY).save(tmp_path / 'a.png')
    for image in (
        tmp_path / 'a.png',
        GREY,
        Image.fromarray(GREY),
        torch.from_numpy(GREY),
        torch.from_numpy(GREY)[None],
    ):
        assert torch.equal(read(image), torch.from_numpy(GREY)[None])


def test_transparency_is_dropped_and_a_palette_is_looked_up(tmp_path):
    clear = np.dstack([RGB, np.zeros(GREY.shape, np.uint8)])
    Image.fromarray(clear).save(tmp_path / 'clear.png')
    indexed = Image.fromarray(RGB).quantize(8)
    indexed.save(tmp_path / 'indexed.png')
    bgr = torch.from_numpy(RGB[..., ::-1].copy()).permute(2, 0, 1)
    assert torch.equal(read(tmp_path / 'clear.png'), bgr) and torch.equal(read(Image.fromarray(clear)), bgr)
    looked_up = torch.from_numpy(np.asarray(indexed.convert('RGB'))[..., ::-1].copy()).permute(2, 0, 1)
    assert torch.equal(read(tmp_path / 'indexed.png'), looked_up) and torch.equal(read(indexed), looked_up)


@pytest.mark.parametrize('pixels', [RGB, GREY], ids=['colour', 'grey'])
def test_the_orientation_of_exif_is_followed(tmp_path, pixels):
    smooth = np.kron(pixels[:2, :3], np.ones((16, 16) + (1,) * (pixels.ndim - 2), np.uint8))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED
    Image.fromarray(smooth).save(tmp_path / 'a.jpg', exif=exif, quality=100, subsampling=0)
    from_file = read(tmp_path / 'a.jpg')
    assert from_file.shape[-2:] == (48, 32)
    with Image.open(tmp_path / 'a.jpg') as image:
        assert (from_file.int() - read(image).int()).abs().max() <= 2


def test_everything_wrong_is_said_at_once(tmp_path):
    Image.fromarray(GREY.astype(np.uint16) * 200).save(tmp_path / 'deep.png')
    (tmp_path / 'text.png').write_text('no image')
    (tmp_path / 'empty.png').touch()
    Image.fromarray(RGB).save(tmp_path / 'cut.png')
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'cut.png').read_bytes()[:-20])
    Image.fromarray(RGB).save(tmp_path / 'photo.jpg')
    (tmp_path / 'photo.jpg').write_bytes((tmp_path / 'photo.jpg').read_bytes()[:-20])
    Image.fromarray(RGB).save(tmp_path / 'same.png')
    Image.fromarray(RGB).save(tmp_path / 'same.jpg')
    with pytest.raises(DatasetError) as error:
        find_sources([tmp_path, tmp_path / 'gone.png', f'{tmp_path}/no*.png'])
    message = str(error.value)
    for part in (
        r'more than 8 bits a channel (1): ',
        r'unreadable (2): ',
        r'cut short (2): ',
        r'no such file (1): ',
        r'no image fits the pattern (1): ',
        'the same name (1): same (',
    ):
        assert part in message


def test_an_empty_folder_points_to_its_sub_folders(folder):
    (folder / 'none').mkdir()
    with pytest.raises(DatasetError, match=r'no images in the folder \(1\).*\n.*--recursive'):
        find_sources(folder / 'none')
    with pytest.raises(DatasetError, match='the list is empty'):
        find_sources([])


def test_equal_names_of_two_folders_are_refused(folder):
    with pytest.raises(DatasetError, match=r'same name \(1\): a .*\n.*folder above them'):
        find_sources([folder / 'a.jpg', folder / 'deep/a.PNG'])


@pytest.mark.parametrize(
    ('wrong', 'error', 'message'),
    [
        (RGB.astype(np.float32), ValueError, r'float32, expected an array .*uint8, RGB'),
        (GREY.astype(np.uint16), ValueError, 'uint16'),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r'\(4, 4, 4\)'),
        (np.zeros((0, 4), np.uint8), ValueError, r'\(0, 4\)'),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), ValueError, 'several images are given as a list'),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), ValueError, r'expected a tensor'),
        (Image.fromarray(GREY.astype(np.int32)), DatasetError, 'mode I'),
        (3, TypeError, 'image 0 is a int'),
    ],
    ids=lambda value: '',
)
def test_other_pictures_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        find_sources(wrong)
