"""ConvertedDataset: the right images per subset, and every fault in one message before training."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.datasets import ConvertedDataset
from ultrarefiner.registry import DATASETS


@pytest.fixture
def root(tiny_root, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(tiny_root, tmp_path / 'tiny')


@pytest.fixture
def predictions(tiny_root, tmp_path):
    """Out-of-fold predictions of the tiny dataset with their proof."""
    splits = Splits.load(tiny_root / 'splits.json')
    folder = tmp_path / 'predictions'
    folder.mkdir()
    entries = {}
    for fold, names in enumerate(splits.folds):
        for name in names:
            file = folder / f'{name}.npy'
            np.save(file, np.full((8, 8), 0.5, np.float32))
            entries[name] = dict(fold=fold, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    (tmp_path / 'proof.json').write_text(json.dumps(dict(split_sha256=splits.digest, entries=entries)))
    return folder


def names(dataset):
    return [dataset.get_data_info(index)['name'] for index in range(len(dataset))]


def test_subsets_hold_the_images_of_the_split(tiny_root):
    subsets = {
        subset: names(ConvertedDataset(tiny_root, subset, fold=1)) for subset in ('train', 'val', 'test', 'all_train')
    }
    assert subsets['train'] == ['t0', 't2', 't4', 't6']
    assert subsets['val'] == ['t1', 't3', 't5', 't7']
    assert subsets['test'] == ['t8', 't9']
    assert subsets['all_train'] == [f't{index}' for index in range(8)]


def test_meta_information_names_the_split(tiny_root):
    meta = DATASETS.build(dict(type='ConvertedDataset', data_root=str(tiny_root), subset='val', fold=0)).metainfo
    digest = Splits.load(tiny_root / 'splits.json').digest
    assert (meta['dataset'], meta['split_sha256'], meta['fold']) == ('tiny', digest, 0)
    assert meta['classes'] == ('background', 'lesion')


def test_without_a_fold_the_subset_is_refused(tiny_root):
    with pytest.raises(ValueError, match='fold is None, expected a whole number from 0 to 1'):
        ConvertedDataset(tiny_root, 'train')
    with pytest.raises(ValueError, match='fold is 2, expected'):
        ConvertedDataset(tiny_root, 'val', fold=2)


def test_an_unfilled_placeholder_names_load_config(tiny_root):
    with pytest.raises(ValueError, match=r"placeholder '\{fold\}': load the config with ultrarefiner.apis.load_config"):
        ConvertedDataset(tiny_root, 'train', fold='{fold}')


def test_unknown_subset_is_refused(tiny_root):
    with pytest.raises(ValueError, match="subset is 'validation', expected one of"):
        ConvertedDataset(tiny_root, 'validation')


def test_an_unconverted_folder_names_the_converters(tmp_path):
    with pytest.raises(DatasetError, match='splits.json: absent; convert the dataset with tools/dataset_converters'):
        ConvertedDataset(tmp_path, 'test')


def test_classes_without_labels_are_refused(tiny_root):
    meta = dict(classes=('background', 'benign', 'malignant'), palette=[[0] * 3, [1] * 3, [2] * 3])
    with pytest.raises(ValueError, match=r'need the labels 0 to 2, but label_map \{0: 0, 255: 1\} gives \[0, 1\]'):
        ConvertedDataset(tiny_root, 'test', metainfo=meta)
    two = ConvertedDataset(tiny_root, 'test', metainfo=meta, label_map={0: 0, 128: 1, 255: 2})
    assert two.get_data_info(0)['label_map'] == {0: 0, 128: 1, 255: 2}


def test_all_faults_of_the_files_come_in_one_message(root):
    train = root / 'train'
    (train / 'masks' / 't0.png').unlink()
    (train / 'masks' / 't4.png').unlink()
    (train / 'images' / 't1.png').unlink()
    Image.fromarray(np.zeros((20, 24), np.uint8)).save(train / 'masks' / 't2.png')
    (train / 'images' / 't3.png').write_bytes(b'no image at all')
    Image.fromarray(np.zeros((40, 48), np.uint16)).save(train / 'images' / 't5.png')
    with pytest.raises(DatasetError) as error:
        ConvertedDataset(root, 'all_train')
    message = str(error.value)
    assert f"ConvertedDataset 'all_train' at {root} cannot be used" in message
    for expected in (
        'masks (2): t0, t4',
        'images (1): t1',
        'differ in height x width (1): t2 (image 40x48, mask 20x24)',
        'unreadable image in',
        'more than 8 bits (1): t5 (mode I;16)',
        '-> run the dataset converter again',
    ):
        assert expected in message


def test_what_the_pixels_hide_is_found_with_the_rest_before_training(root):
    train = root / 'train'
    grey = np.zeros((40, 48), np.uint8)
    grey[0, :5], grey[1, :3] = 255, 127
    Image.fromarray(grey).save(train / 'masks' / 't0.png')
    Image.new('RGB', (48, 40)).save(train / 'masks' / 't1.png')
    for path, lost in (('images/t2.png', 1), ('images/t3.png', 300), ('masks/t4.png', 12), ('masks/t5.png', 40)):
        (train / path).write_bytes((train / path).read_bytes()[:-lost])
    # Whole from end to end, with spoilt pixels.
    damaged = bytearray((train / 'masks' / 't6.png').read_bytes())
    damaged[50:80] = bytes(30)
    (train / 'masks' / 't6.png').write_bytes(damaged)
    (train / 'masks' / 't7.png').unlink()
    with pytest.raises(DatasetError) as error:
        ConvertedDataset(root, 'all_train')
    message = str(error.value)
    for expected in (
        'unusable mask (3): ',
        't0.png holds 1 grey value(s) that label_map {0: 0, 255: 1} does not list',
        '{0: 1912, 255: 5, 127: 3}',
        't1.png has the shape (40, 48, 3)',
        't6.png cannot be read',
        f'truncated image in {train / "images"} (2): t2, t3',
        f'truncated mask in {train / "masks"} (2): t4, t5',
        'masks (1): t7',
    ):
        assert expected in message
    assert len(ConvertedDataset(root, 'test')) == 2


def test_an_image_of_another_format_needs_no_png_trailer(root):
    path = root / 'test' / 'images' / 't8.png'
    Image.open(path).save(path, format='BMP')
    assert len(ConvertedDataset(root, 'test')) == 2


def test_other_classes_get_colours_of_their_own(tiny_root):
    def palette(**meta):
        return ConvertedDataset(tiny_root, 'test', metainfo=meta, label_map={0: 0, 128: 1, 255: 2}).metainfo['palette']

    classes = ('background', 'benign', 'malignant')
    colours = palette(classes=classes)
    assert colours[:2] == ConvertedDataset(tiny_root, 'test').metainfo['palette'] == [[0, 0, 0], [255, 166, 43]]
    assert len(colours) == 3 and abs(np.subtract(colours[1], colours[2])).max() > 100
    given = [[0] * 3, [1] * 3, [2] * 3]
    assert palette(classes=classes, palette=given) == given
    with pytest.raises(ValueError, match='4 colours in its palette for the 3 classes .*malignant'):
        palette(classes=classes, palette=[[0] * 3] * 4)


def test_many_faults_are_counted_not_listed(root):
    for index in range(8):
        (root / 'train' / 'masks' / f't{index}.png').unlink()
    with pytest.raises(DatasetError, match=r'masks \(8\): t0, t1, t2, t3, t4, \.\.\.'):
        ConvertedDataset(root, 'all_train')


def test_predictions_with_their_proof_are_taken(tiny_root, predictions):
    dataset = ConvertedDataset(tiny_root, 'train', fold=0, coarse_dir=predictions)
    assert dataset.get_data_info(0)['coarse_path'] == str(predictions / 't1.npy')


def test_a_missing_and_a_double_prediction_are_named(tiny_root, predictions):
    (predictions / 't1.npy').unlink()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(predictions / 't3.png')
    with pytest.raises(DatasetError) as error:
        ConvertedDataset(tiny_root, 'train', fold=0, coarse_dir=predictions)
    message = str(error.value)
    assert f'no coarse prediction in {predictions} (1): t1' in message
    assert f'more than one coarse prediction in {predictions} (1): t3.npy and t3.png' in message
    assert 'tools/predict_folds.py' in message


def test_predictions_without_proof_need_the_users_word(tiny_root, predictions):
    (predictions.parent / 'proof.json').unlink()
    with pytest.raises(DatasetError, match='no proof of what the predictions were made from.*\n.*require_proof=False'):
        ConvertedDataset(tiny_root, 'val', fold=0, coarse_dir=predictions)
    assert len(ConvertedDataset(tiny_root, 'val', fold=0, coarse_dir=predictions, require_proof=False)) == 4


def test_a_prediction_put_in_place_of_the_proven_one_is_refused(tiny_root, predictions):
    np.save(predictions / 't3.npy', np.full((8, 8), 0.9, np.float32))
    with pytest.raises(DatasetError, match=r'prediction other than the one that was proven \(1\): t3'):
        ConvertedDataset(tiny_root, 'train', fold=0, coarse_dir=predictions)


@pytest.mark.parametrize(
    'spoil, expected',
    [
        (lambda proof: proof.update(split_sha256='0' * 64), 'made for another split'),
        (lambda proof: proof['entries']['t1'].update(fold=0), r't1 \(by fold 0, held out by fold 1\)'),
        (lambda proof: proof['entries'].pop('t3'), r'not listed in .*proof.json \(1\): t3'),
        (lambda proof: proof.pop('entries'), r'unreadable proof .*KeyError'),
    ],
)
def test_a_proof_that_does_not_fit_is_refused(tiny_root, predictions, spoil, expected):
    path = predictions.parent / 'proof.json'
    proof = json.loads(path.read_text())
    spoil(proof)
    path.write_text(json.dumps(proof))
    with pytest.raises(DatasetError, match=expected):
        ConvertedDataset(tiny_root, 'train', fold=0, coarse_dir=predictions)


def write_png(folder, pixels):
    """The same PNG prediction for every image."""
    for index in range(10):
        Image.fromarray(np.asarray(pixels, np.uint8)).save(folder / f't{index}.png')
    return folder


def test_label_maps_that_are_taken_for_probabilities_are_refused(tiny_root, tmp_path):
    """Grey value 1 would be a probability of 0.004: nothing would ever be refined, and nothing would say so."""
    given = dict(coarse_dir=write_png(tmp_path, [[0, 1]]), require_proof=False)
    with pytest.raises(DatasetError, match=r'no grey value above 1 in .* \(\d\): t\d.png.*\n.*coarse_label_map'):
        ConvertedDataset(tiny_root, 'val', fold=0, **given)
    dataset = ConvertedDataset(tiny_root, 'val', fold=0, coarse_label_map={0: 0, 1: 1}, **given)
    assert dataset.get_data_info(0)['coarse_label_map'] == {0: 0, 1: 1}


def test_grey_values_that_the_coarse_label_map_does_not_list_are_refused_before_training(tiny_root, tmp_path):
    with pytest.raises(DatasetError, match=r'unusable coarse prediction \(2\): .*t8.png holds 1 grey value'):
        ConvertedDataset(
            tiny_root,
            'test',
            coarse_dir=write_png(tmp_path, [[0, 3]]),
            coarse_label_map={0: 0, 1: 1},
            require_proof=False,
        )


def test_one_channel_is_refused_for_several_classes(tiny_root, tmp_path):
    options = dict(metainfo=dict(classes=('background', 'a', 'b')), label_map={0: 0, 255: 1, 128: 2})
    given = dict(coarse_dir=write_png(tmp_path, [[0, 200]]), require_proof=False)
    with pytest.raises(DatasetError, match='PNG predictions in .* for 2 classes .*\n.*coarse_label_map'):
        ConvertedDataset(tiny_root, 'test', **options, **given)
    with pytest.raises(ValueError, match=r'coarse_label_map \{0: 0, 200: 1\} gives \[0, 1\]'):
        ConvertedDataset(tiny_root, 'test', coarse_label_map={0: 0, 200: 1}, **options, **given)
    assert len(ConvertedDataset(tiny_root, 'test', coarse_label_map={0: 0, 200: 1, 9: 2}, **options, **given)) == 2
