import shutil
from dataclasses import replace

import numpy as np
import pytest
from archive_makers import make_busbra, noise, save, square
from PIL import Image

from ultrarefiner.data_preparation import Splits, read_manifest
from ultrarefiner.data_preparation.conversion import convert
from ultrarefiner.data_preparation.converters import BUSBRAConverter
from ultrarefiner.data_preparation.grouping import dhash
from ultrarefiner.data_preparation.images import pixel_sha256
from ultrarefiner.data_preparation.manifest import write_manifest
from ultrarefiner.data_preparation.verification import verify


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    base = tmp_path_factory.mktemp('verify')
    convert(BUSBRAConverter(), make_busbra(base / 'src'), base / 'out')
    return base / 'out'


@pytest.fixture
def dataset(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / 'dataset')


def whats(folder):
    return [f'{finding.where}: {finding.what}' for finding in verify(folder)]


def test_nothing_is_wrong_with_what_a_converter_wrote(pristine):
    assert verify(pristine) == []


@pytest.mark.parametrize(
    'harm, message',
    [
        (lambda path: path.unlink(), 'absent'),
        (lambda path: path.write_bytes(b''), '0 bytes'),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), 'cannot be decoded'),
        (lambda path: save(path, square(1, 1, 3)), 'differ from the manifest'),
        (lambda path: save(path, square(1, 1, 3, (40, 40))), '40x40 pixels, the manifest says 48x36'),
        (lambda path: save(path, noise(1), 'RGBA'), 'mode RGBA'),
    ],
)
@pytest.mark.parametrize('kind', ['image', 'mask'])
def test_every_harm_to_a_file_is_found(dataset, kind, harm, message):
    row = read_manifest(dataset / 'manifest.csv')[3]
    harm(dataset / getattr(row, kind))
    found = whats(dataset)
    assert any(line.startswith(getattr(row, kind)) and message in line for line in found)
    assert all(row.name in line for line in found)


def test_mask_values_and_blank_masks_are_found(dataset):
    rows = read_manifest(dataset / 'manifest.csv')
    save(dataset / rows[0].mask, square(5, 5) // 2)
    save(dataset / rows[1].mask, np.zeros((36, 48), np.uint8))
    found = whats(dataset)
    assert f'{rows[0].mask}: values [0, 127], expected 0 and 255 alone' in found
    assert f'{rows[1].mask}: blank, expected a lesion' in found


def test_surplus_file_is_found(dataset):
    save(dataset / 'train' / 'images' / 'new.png', noise(1))
    assert whats(dataset) == ['train/images/new.png: not in the manifest']


def test_tampered_split_is_found(dataset):
    path = dataset / 'splits.json'
    path.write_text(path.read_text().replace('"seed": 42', '"seed": 43'))
    assert 'changed after it was written' in whats(dataset)[0]


def test_manifest_and_split_that_disagree_are_found(dataset):
    rows = read_manifest(dataset / 'manifest.csv')
    write_manifest(dataset / 'manifest.csv', [replace(rows[0], group='patient_999'), *rows[1:]])
    assert whats(dataset) == [f'{rows[0].name}: group patient_999 in the manifest, patient_1 in the split']
    write_manifest(dataset / 'manifest.csv', rows[1:])
    assert f'{rows[0].name}: in the split but not in the manifest' in whats(dataset)


def test_image_copied_under_another_name_and_patient_is_found(dataset):
    splits = Splits.load(dataset / 'splits.json')
    rows = {row.name: row for row in read_manifest(dataset / 'manifest.csv')}
    victim, source = rows[splits.test[0]], rows[splits.folds[0][0]]
    shutil.copy(dataset / source.image, dataset / victim.image)
    image = Image.open(dataset / victim.image)
    rows[victim.name] = replace(victim, sha256=pixel_sha256(image), dhash=dhash(image))
    write_manifest(dataset / 'manifest.csv', list(rows.values()))
    names = sorted((victim.name, source.name))
    found = whats(dataset)
    assert len(found) == 1 and 'a near-duplicate of' in found[0] and all(name in found[0] for name in names)


def test_folder_without_manifest_is_one_finding(tmp_path):
    assert 'absent; convert the dataset' in whats(tmp_path)[0]


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda text: text.replace('n_components', 'n_parts', 1), 'lacks the columns n_components'),
        (lambda text: text.replace(',36,48,', ',36,wide,', 1), "line 2: width is 'wide'"),
        (lambda text: text.replace('train/images/', '../../images/', 1), 'is not a path inside the dataset'),
        (lambda text: text + text.splitlines()[-1] + '\n', 'stands in two rows'),
        (lambda text: text + 'BUSBRA,x\n', 'too few values'),
    ],
)
def test_malformed_manifest_is_explained(dataset, change, message):
    path = dataset / 'manifest.csv'
    path.write_text(change(path.read_text()))
    assert message in whats(dataset)[0]
