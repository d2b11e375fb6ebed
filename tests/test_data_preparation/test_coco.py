import json

import numpy as np
import pytest
from archive_makers import noise, read_mask, save
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrarefiner.data_preparation import DatasetError, read_manifest
from ultrarefiner.data_preparation.conversion import convert
from ultrarefiner.data_preparation.converters import CocoConverter
from ultrarefiner.data_preparation.converters.coco import draw, fill_polygon, read_coco


def coco(segmentations, size=(6, 8), **image):
    entry = {'id': 1, 'file_name': 'a.png', 'height': size[0], 'width': size[1]} | image
    annotations = [{'id': k, 'image_id': 1, 'segmentation': each} for k, each in enumerate(segmentations)]
    return json.dumps({'images': [entry], 'annotations': annotations})


def drawn(segmentations, **image):
    return draw(read_coco(coco(segmentations, **image), 'x.json')[0], 'x.json')


def test_polygon_covers_the_pixels_whose_centres_it_holds():
    mask = drawn([[[2, 1, 6, 1, 6, 4, 2, 4]]])
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:6] = True
    assert np.array_equal(mask, expected)


def test_polygon_area_is_near_the_area_of_a_circle():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.stack([30 + 20.3 * np.cos(angles), 28.7 + 20.3 * np.sin(angles)], axis=1)
    assert fill_polygon(points, 60, 60).sum() == pytest.approx(np.pi * 20.3**2, rel=0.01)


def test_polygon_beyond_the_image_is_cut_off():
    assert drawn([[[-5, -5, 20, -5, 20, 20, -5, 20]]]).all()


def test_run_lengths_go_down_the_columns():
    mask = drawn([{'size': [6, 8], 'counts': [7, 3, 38]}])
    expected = np.zeros((6, 8), bool)
    expected[1:4, 1] = True
    assert np.array_equal(mask, expected)


def test_annotations_are_united():
    mask = drawn([[[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 6, 4, 6, 6, 4, 6]], {'size': [6, 8], 'counts': [47, 1]}])
    assert mask.sum() == 4 + 4 + 1


@pytest.mark.parametrize(
    'segmentation, message',
    [
        ({'size': [6, 8], 'counts': 'abc'}, 'compressed run lengths'),
        ({'size': [8, 6], 'counts': [48]}, r'of size \[8, 6\], its image \[6, 8\]'),
        ({'size': [6, 8], 'counts': [40]}, 'do not add up to its 48 pixels'),
        ({'size': [6, 8], 'counts': [50, -2]}, 'do not add up'),
        ([[1, 2, 3, 4]], 'no list of 3 or more'),
        ([[1, 2, 3, 4, 5, float('nan')]], 'no list of 3 or more'),
        ([], 'without polygons or run lengths'),
        (None, 'without polygons or run lengths'),
    ],
)
def test_malformed_segmentations_are_explained(segmentation, message):
    with pytest.raises(DatasetError, match=f'x.json: a.png.*{message}'):
        drawn([segmentation])


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'not readable as JSON'),
        ('[]', 'not COCO JSON'),
        ('{"images": []}', 'annotations is not a list'),
        ('{"images": [{"id": 1}], "annotations": []}', 'lacks a whole id'),
        ('{"images": [], "annotations": [{"image_id": 3}]}', 'of image 3, which is not listed'),
    ],
)
def test_malformed_files_are_explained(text, message):
    with pytest.raises(DatasetError, match=message):
        read_coco(text, 'x.json')


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 60) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(['size', 'counts', 'id']), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(segmentation=ANYTHING, field=st.sampled_from(['id', 'file_name', 'height', 'width']), value=ANYTHING)
def test_any_content_is_drawn_or_explained(segmentation, field, value):
    try:
        assert drawn([segmentation]).shape == (6, 8)
    except DatasetError as error:
        assert 'x.json' in str(error)
    try:
        read_coco(coco([], **{field: value if value != 1 else 'x'}), 'x.json')
    except DatasetError as error:
        assert 'x.json' in str(error)


def make_archive(root, n_images=14):
    images, annotations = [], []
    for number in range(n_images):
        images.append({'id': number, 'file_name': f'scan {number}.png', 'height': 36, 'width': 48})
        save(root / 'images' / f'scan {number}.png', noise(8000 + number))
        box = [2, 2, 10 + number, 2, 10 + number, 12, 2, 12]
        if number:
            annotations.append({'image_id': number, 'segmentation': [box], 'category_id': 1 + number % 2})
    categories = [{'id': 1, 'name': 'benign'}, {'id': 2, 'name': 'malignant'}]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / 'labels.json').write_text(json.dumps(content))
    save(root / 'images' / 'extra.png', noise(1))
    return root


def test_archive_with_coco_file_is_converted(tmp_path):
    report = convert(CocoConverter('mine', 'labels.json'), make_archive(tmp_path / 'src'), tmp_path / 'out')
    rows = {row.name: row for row in read_manifest(tmp_path / 'out' / 'manifest.csv')}
    assert report['left_out'] == {
        'blank mask': ['images/scan 0.png'],
        'not listed in labels.json': ['images/extra.png'],
    }
    assert (rows['scan_3'].label, rows['scan_4'].label) == ('malignant', 'benign')
    assert (read_mask(tmp_path / 'out', rows['scan_3']) == 255).sum() == 10 * 11


def test_listed_image_that_is_absent_is_named(tmp_path):
    root = make_archive(tmp_path / 'src')
    (root / 'images' / 'scan 3.png').unlink()
    with pytest.raises(DatasetError, match='scan 3.png: listed in labels.json, but neither images/scan 3.png nor'):
        convert(CocoConverter('mine', 'labels.json'), root, tmp_path / 'out')
    with pytest.raises(DatasetError, match='expected a folder with other.json'):
        convert(CocoConverter('mine', 'other.json'), root, tmp_path / 'out')
