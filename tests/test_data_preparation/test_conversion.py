import os

import numpy as np
import pytest
from archive_makers import SIZE, all_bytes, make_busbra, make_busi, noise, read_mask, save, square, zip_folder
from PIL import Image

from ultrarefiner.data_preparation import DatasetError, Splits, read_manifest
from ultrarefiner.data_preparation.conversion import SplitOptions, convert
from ultrarefiner.data_preparation.converters import BUSBRAConverter, BUSIConverter
from ultrarefiner.data_preparation.grouping import near_duplicates


@pytest.fixture(scope='module')
def busi(tmp_path_factory):
    return make_busi(tmp_path_factory.mktemp('busi') / 'Dataset_BUSI_with_GT')


@pytest.fixture(scope='module')
def converted(busi, tmp_path_factory):
    folder = tmp_path_factory.mktemp('converted') / 'busi'
    return folder, convert(BUSIConverter(), busi, folder)


def test_layout_counts_and_left_out(converted):
    folder, report = converted
    rows = read_manifest(folder / 'manifest.csv')
    splits = Splits.load(folder / 'splits.json')
    assert len(rows) == 25 and len(splits.test) == 5
    assert sorted(path.name for path in folder.iterdir()) == [
        'manifest.csv', 'report.json', 'report.md', 'splits.json', 'test', 'train',
    ]  # fmt: skip
    assert {f'{side}/{kind}' for side in ('train', 'test') for kind in ('images', 'masks')} == {
        os.path.dirname(path) for row in rows for path in (row.image, row.mask)
    }
    assert report['left_out'] == {'blank mask (normal)': [f'normal/normal ({k}).png' for k in (1, 2, 3)]}
    assert report['counts']['lesion images'] == {'method': 647, 'published': 647, 'found': 25}
    assert 'blank mask (normal)' in (folder / 'report.md').read_text()


def test_masks_are_united_and_have_two_values_whatever_their_mode(converted):
    folder, _ = converted
    rows = {row.name: row for row in read_manifest(folder / 'manifest.csv')}
    assert np.array_equal(read_mask(folder, rows['benign_0001']), square(4, 5) | square(26, 30))
    assert rows['benign_0001'].n_components == 2 and 'multiple_masks' in rows['benign_0001'].flags
    assert rows['benign_0001'].mask_source == 'benign/benign (1)_mask.png;benign/benign (1)_mask_1.png'
    for number in (2, 3, 4):  # RGBA, RGB, one bit
        assert np.array_equal(read_mask(folder, rows[f'benign_{number:04d}']), square(4, 4 + number, 5 + number))
    assert rows['benign_0002'].fg_fraction == f'{49 / (SIZE[0] * SIZE[1]):.6f}'


def test_images_keep_their_pixels_and_size(busi, converted):
    folder, _ = converted
    for row in read_manifest(folder / 'manifest.csv')[:6]:
        image = Image.open(folder / row.image)
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(busi / row.source)))
        assert (image.height, image.width) == (row.height, row.width) == SIZE


def test_no_near_duplicate_is_on_two_sides_of_the_default_split(converted):
    folder, report = converted
    rows = read_manifest(folder / 'manifest.csv')
    splits = Splits.load(folder / 'splits.json')
    side = dict.fromkeys(splits.test, 'test') | {name: k for k, fold in enumerate(splits.folds) for name in fold}
    pairs = near_duplicates([row.dhash for row in rows])
    assert {(rows[i].name, rows[j].name) for i, j in pairs} == {('benign_0005', 'malignant_0001')}
    assert side['benign_0005'] == side['malignant_0001']
    assert report['leak_of_this_split']['pairs_on_both_sides'] == 0
    flags = {row.name: row.flags for row in rows}
    assert flags['malignant_0001'] == 'duplicate_with_other_label;identical_pixels;near_duplicate'


def test_plain_split_is_reported_to_leak_where_it_does(busi, tmp_path):
    leaks = {
        convert(BUSIConverter(), busi, tmp_path / str(seed), SplitOptions('method', seed))['leak_of_this_split'][
            'pairs_on_both_sides'
        ]
        for seed in range(8)
    }
    assert leaks == {0, 1}


def test_same_archive_gives_the_same_bytes_from_folder_and_zip(busi, converted, tmp_path):
    convert(BUSIConverter(), zip_folder(busi, tmp_path / 'download.zip'), tmp_path / 'zipped')
    assert all_bytes(tmp_path / 'zipped') == all_bytes(converted[0])


def test_conversion_can_be_read_by_others(converted):
    umask = os.umask(0)
    os.umask(umask)
    assert converted[0].stat().st_mode & 0o777 == 0o777 & ~umask


def test_overwrite_replaces_conversions_and_nothing_else(busi, tmp_path):
    target = tmp_path / 'out'
    convert(BUSIConverter(), busi, target)
    with pytest.raises(DatasetError, match='is not empty'):
        convert(BUSIConverter(), busi, target)
    convert(BUSIConverter(), busi, target, SplitOptions('method'), overwrite=True)
    assert Splits.load(target / 'splits.json').protocol == 'method'
    (target / 'train' / 'images' / 'notes.txt').write_text('mine')
    with pytest.raises(DatasetError, match='no converter wrote.*train/images/notes.txt'):
        convert(BUSIConverter(), busi, target, overwrite=True)
    assert (target / 'train' / 'images' / 'notes.txt').read_text() == 'mine'
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'thesis.txt').write_text('mine')
    with pytest.raises(DatasetError, match='holds no conversion'):
        convert(BUSIConverter(), busi, tmp_path / 'home', overwrite=True)


def test_destination_inside_the_source_is_refused(busi):
    with pytest.raises(DatasetError, match='lies inside the source'):
        convert(BUSIConverter(), busi, busi / 'processed')


def test_interrupted_conversion_leaves_nothing(busi, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('ultrarefiner.data_preparation.conversion.write_manifest', interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(BUSIConverter(), busi, tmp_path / 'out')
    assert list(tmp_path.iterdir()) == []


def plant_missing_mask(root):
    (root / 'benign' / 'benign (2)_mask.png').unlink()


def plant_missing_image(root):
    (root / 'benign' / 'benign (2).png').unlink()


def plant_other_size(root):
    save(root / 'benign' / 'benign (2)_mask.png', square(2, 2, size=(30, 30)))


def plant_unknown_value(root):
    save(root / 'benign' / 'benign (2)_mask.png', square(2, 2) // 2)


def plant_truncated(root):
    path = root / 'benign' / 'benign (2).png'
    path.write_bytes(path.read_bytes()[:300])


def plant_empty(root):
    (root / 'benign' / 'benign (2).png').write_bytes(b'')


def plant_text(root):
    (root / 'benign' / 'benign (2).png').write_text('<html>404</html>')


def plant_sixteen_bits(root):
    save(root / 'benign' / 'benign (2).png', noise(1).astype(np.uint16) * 257)


def plant_stray_name(root):
    save(root / 'benign' / 'benign (2) copy.png', noise(1))


FAULTS = [
    (plant_missing_mask, 'an image with no mask'),
    (plant_missing_image, 'a mask with no image'),
    (plant_other_size, 'the mask is 30x30 pixels, its image 48x36'),
    (plant_unknown_value, 'unknown mask values; expected grey values 0, 255; pixels by value: 0: .*, 127: '),
    (plant_truncated, 'cannot be decoded'),
    (plant_empty, 'is empty \\(0 bytes\\)'),
    (plant_text, 'cannot be decoded'),
    (plant_sixteen_bits, 'an image of mode I;16'),
    (plant_stray_name, 'expected a name like "benign \\(1\\).png"'),
]


@pytest.mark.parametrize('plant, message', FAULTS)
def test_every_fault_is_one_message_with_the_file_and_writes_nothing(tmp_path, plant, message):
    root = make_busi(tmp_path / 'src')
    plant(root)
    with pytest.raises(DatasetError, match=f'1 fault found.\n  - benign/benign \\(2\\).*{message}'):
        convert(BUSIConverter(), root, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_faults_are_told_together_and_can_be_left_out(tmp_path):
    root = make_busi(tmp_path / 'src')
    plant_empty(root)
    save(root / 'malignant' / 'malignant (3)_mask.png', square(2, 2) // 2)
    with pytest.raises(DatasetError, match='2 faults found') as caught:
        convert(BUSIConverter(), root, tmp_path / 'out')
    assert 'malignant (3)_mask.png' in str(caught.value)
    report = convert(BUSIConverter(), root, tmp_path / 'out', leave_out_faulty=True)
    assert report['counts']['lesion images']['found'] == 23
    assert sorted(
        name for reason, names in report['left_out'].items() if reason.startswith('faulty') for name in names
    ) == [
        'benign/benign (2).png',
        'malignant/malignant (3).png',
    ]


def test_wrong_layout_says_what_was_expected(tmp_path):
    root = make_busbra(tmp_path / 'BUSBRA', 2)
    with pytest.raises(
        DatasetError, match='expected a folder with benign, malignant side by side; found Images, Masks'
    ):
        convert(BUSIConverter(), root, tmp_path / 'out')
    with pytest.raises(DatasetError, match='no such file or folder'):
        convert(BUSIConverter(), tmp_path / 'nowhere', tmp_path / 'out')


def test_two_images_of_one_name_are_refused(tmp_path):
    root = make_busi(tmp_path / 'src')
    save(root / 'benign' / 'benign (01).png', noise(99))
    save(root / 'benign' / 'benign (01)_mask.png', square(2, 2))
    with pytest.raises(DatasetError, match=r'would both become benign_0001.png'):
        convert(BUSIConverter(), root, tmp_path / 'out')


def test_only_blank_masks_are_refused(tmp_path):
    for number in (1, 2):
        save(tmp_path / 'src' / 'benign' / f'benign ({number}).png', noise(number))
        save(tmp_path / 'src' / 'benign' / f'benign ({number})_mask.png', np.zeros(SIZE, np.uint8))
    save(tmp_path / 'src' / 'malignant' / 'malignant (1).png', noise(3))
    save(tmp_path / 'src' / 'malignant' / 'malignant (1)_mask.png', np.zeros(SIZE, np.uint8))
    with pytest.raises(DatasetError, match='all 3 masks are blank'):
        convert(BUSIConverter(), tmp_path / 'src', tmp_path / 'out')


@pytest.mark.parametrize(
    'options', [{'protocol': 'random'}, {'seed': -1}, {'n_folds': 1}, {'test_fraction': 0.0}, {'test_fraction': 1.0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(DatasetError, match='expected'):
        SplitOptions(**options)


def test_patients_stay_on_one_side_where_a_plain_split_parts_them(tmp_path):
    root = make_busbra(tmp_path / 'BUSBRA')
    report = convert(BUSBRAConverter(), root, tmp_path / 'out')
    assert report['leak_of_this_split']['test_images_of_a_training_group'] == 0
    assert report['leak_of_a_plain_random_split']['test_images_of_a_training_group'] > 0
    splits = Splits.load(tmp_path / 'out' / 'splits.json')
    for k in range(5):
        held_out = {name[:8] for name in splits.fold_names(k)}
        assert not held_out & {name[:8] for name in splits.train_names(k) + splits.test}
