import numpy as np
import pytest
from archive_makers import square
from PIL import Image

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.mask_rules import BINARY, ColourMap, GreyValueMap, MaskThreshold

GREEN_RED = ColourMap({(0, 0, 0): 0, (0, 255, 0): 1, (255, 0, 0): 1})


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'RGB', 'RGBA', 'P'])
def test_binary_masks_of_every_mode_are_the_same_mask(mode):
    mask = square(3, 5)
    image = Image.fromarray(mask).convert(mode)
    assert np.array_equal(BINARY(image, 'm.png'), mask == 255)


def test_unknown_value_is_refused_with_name_and_histogram():
    mask = square(3, 5, 6)
    mask[3, 5] = 37
    with pytest.raises(DatasetError, match=r'm\.png: unknown mask values.*0: 1692, 255: 35, 37: 1'):
        BINARY(Image.fromarray(mask), 'm.png')


def test_grey_map_refuses_colours():
    mask = np.zeros((4, 4, 3), np.uint8)
    mask[0, 0] = (255, 0, 0)
    with pytest.raises(DatasetError, match=r'\(255, 0, 0\): 1'):
        BINARY(Image.fromarray(mask), 'm.png')


def test_alpha_that_draws_something_is_refused():
    mask = Image.fromarray(square(3, 5)).convert('RGBA')
    mask.putpixel((0, 0), (0, 0, 0, 0))
    with pytest.raises(DatasetError, match='alpha channel'):
        BINARY(mask, 'm.png')


def test_green_and_red_are_lesions_and_other_colours_refused():
    mask = np.zeros((4, 6, 3), np.uint8)
    mask[0, :2] = (0, 255, 0)
    mask[1, :3] = (255, 0, 0)
    lesion = GREEN_RED(Image.fromarray(mask), 'm.png')
    assert lesion.sum(axis=1).tolist() == [2, 3, 0, 0]
    mask[3, 3] = (0, 0, 255)
    with pytest.raises(DatasetError, match=r'\(0, 0, 255\): 1'):
        GREEN_RED(Image.fromarray(mask), 'm.png')


def test_threshold_keeps_red_whose_luminance_is_76():
    mask = np.zeros((4, 6, 3), np.uint8)
    mask[1, :3] = (255, 0, 0)
    assert MaskThreshold(127)(Image.fromarray(mask), 'm.png').sum() == 3


def test_threshold_is_strictly_above():
    values = np.array([[0, 149, 150, 151, 255]], np.uint8)
    assert MaskThreshold(150)(Image.fromarray(values), 'm.png').tolist() == [[False, False, False, True, True]]


def test_stated_values_are_mapped_as_stated():
    values = np.array([[0, 128, 255]], np.uint8)
    rule = GreyValueMap({0: 0, 128: 0, 255: 1})
    assert rule(Image.fromarray(values), 'm.png').tolist() == [[False, False, True]]


@pytest.mark.parametrize('values', [{256: 1}, {-1: 0}, {255: 2}])
def test_impossible_statements_are_refused(values):
    with pytest.raises(DatasetError, match='expected|not a grey value'):
        GreyValueMap(values)


def test_sixteen_bits_are_refused():
    with pytest.raises(DatasetError, match='m.png: a mask of mode I;16'):
        BINARY(Image.fromarray(np.zeros((3, 3), np.uint16)), 'm.png')
