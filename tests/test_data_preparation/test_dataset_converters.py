import numpy as np
import pytest
from archive_makers import (
    SIZE,
    make_bus_uc,
    make_bus_uclm,
    make_busbra,
    make_busis,
    make_udiat,
    noise,
    read_mask,
    save,
    square,
    write_csv,
)
from PIL import Image

from ultrarefiner.data_preparation import DatasetError, Splits, read_manifest
from ultrarefiner.data_preparation.archive import open_archive
from ultrarefiner.data_preparation.conversion import convert
from ultrarefiner.data_preparation.converters import (
    BUSBRAConverter,
    BUSConverter,
    BUSUCConverter,
    BUSUCLMConverter,
    FolderConverter,
)
from ultrarefiner.data_preparation.mask_rules import GreyValueMap, MaskThreshold


def run(converter, source, folder):
    report = convert(converter, source, folder)
    return report, {row.name: row for row in read_manifest(folder / 'manifest.csv')}


def test_busbra_official_folds_are_used_and_patients_known(tmp_path):
    report, rows = run(BUSBRAConverter(), make_busbra(tmp_path / 'src', 20, official=True), tmp_path / 'out')
    splits = Splits.load(tmp_path / 'out' / 'splits.json')
    assert [{int(rows[name].patient) % 5 for name in fold} for fold in splits.folds] == [{0}, {1}, {2}, {3}, {4}]
    assert 'official ones' in ' '.join(report['notes'])
    assert (rows['bus_0003-l'].group, rows['bus_0003-l'].label) == ('patient_3', 'malignant')
    assert report['counts']['patients'] == {'method': None, 'published': 1064, 'found': 20}


def test_busbra_image_without_a_row_is_named(tmp_path):
    root = make_busbra(tmp_path / 'src', 4)
    save(root / 'Images' / 'bus_0099-l.png', noise(7))
    save(root / 'Masks' / 'mask_0099-l.png', square(3, 3))
    with pytest.raises(DatasetError, match=r'bus_0099-l.png: no row with its patient \(ID bus_0099-l\)'):
        convert(BUSBRAConverter(), root, tmp_path / 'out')


def test_busbra_table_without_patients_is_refused(tmp_path):
    root = make_busbra(tmp_path / 'src', 4)
    write_csv(root / 'bus_data.csv', ('ID', 'Pathology'), [('bus_0001-l', 'benign')])
    with pytest.raises(DatasetError, match='bus_data.csv lacks the columns Case; it has ID, Pathology'):
        convert(BUSBRAConverter(), root, tmp_path / 'out')


def test_udiat_is_recognised_and_its_grey_border_left_off(tmp_path):
    report, rows = run(BUSConverter(), make_udiat(tmp_path / 'BUS'), tmp_path / 'out')
    assert report['dataset'] == 'UDIAT'
    assert report['counts']['images'] == {'method': None, 'published': 163, 'found': 14}
    assert report['counts']['lesion images']['method'] == 562
    assert np.array_equal(read_mask(tmp_path / 'out', rows['udiat_000003']), square(5, 8, 4))


@pytest.mark.parametrize('folders', [('original', 'GT'), ('images', 'masks')])
def test_busis_is_recognised_whatever_its_padding(tmp_path, folders):
    report, rows = run(BUSConverter(), make_busis(tmp_path / 'BUS', folders=folders), tmp_path / 'out')
    assert report['dataset'] == 'BUSIS'
    assert 'This BUS archive is BUSIS: 14 images' in report['notes'][0]
    assert rows['case_000003'].mask_source == f'{folders[1]}/case003.png'
    assert np.array_equal(read_mask(tmp_path / 'out', rows['case_000003']), square(3, 6, 8))


def test_bus_labels_come_from_the_exported_table(tmp_path):
    root = make_udiat(tmp_path / 'BUS')
    rows = [(f'{number:06d}', 'Benign' if number < 8 else 'Malignant') for number in range(1, 15)]
    write_csv(root / 'DatasetB.csv', ('image', 'type'), rows)
    report, _ = run(BUSConverter(), root, tmp_path / 'out')
    assert (report['counts']['benign']['found'], report['counts']['malignant']['found']) == (7, 7)


def test_bus_with_names_of_one_archive_and_count_of_the_other_is_not_guessed(tmp_path):
    for number in range(1, 164):
        save(tmp_path / 'original' / f'case{number}.png', np.zeros((2, 2), np.uint8))
        save(tmp_path / 'GT' / f'case{number}.png', np.zeros((2, 2), np.uint8))
    with open_archive(tmp_path) as archive, pytest.raises(DatasetError, match='as many as UDIAT has, but named like'):
        BUSConverter().collect(archive)


def test_both_bus_archives_in_one_folder_are_refused(tmp_path):
    make_busis(make_udiat(tmp_path, 3), 2)
    with open_archive(tmp_path) as archive, pytest.raises(DatasetError, match='two archives in one folder'):
        BUSConverter().collect(archive)


def test_what_is_neither_bus_archive_is_refused(tmp_path):
    save(tmp_path / 'original' / 'lena.png', noise(1))
    save(tmp_path / 'GT' / 'lena.png', square(1, 1))
    with open_archive(tmp_path) as archive, pytest.raises(DatasetError, match='neither archive'):
        BUSConverter().collect(archive)


def test_bus_uc_reads_its_classes_once_and_fits_its_masks(tmp_path):
    report, rows = run(BUSUCConverter(), make_bus_uc(tmp_path / 'BUS_UC'), tmp_path / 'out')
    assert len(rows) == 17
    assert report['left_out'] == {'blank mask (malignant)': ['Malignant/images/002.png']}
    assert 'All/ (36 files)' in report['notes'][0]
    assert {'benign_001', 'malignant_001'} <= set(rows)
    assert rows['benign_001'].flags == 'mask_resized'
    half = square(6, 2, 9)[::2, ::2]
    assert np.array_equal(read_mask(tmp_path / 'out', rows['benign_001']), half.repeat(2, 0).repeat(2, 1))


def test_bus_uclm_keeps_green_and_red_and_refuses_the_cropped_patient(tmp_path):
    report, rows = run(BUSUCLMConverter(), make_bus_uclm(tmp_path / 'src'), tmp_path / 'out')
    assert len(rows) == 18
    assert not any(name.startswith('HESN') for name in rows)
    refused = report['left_out']['patient HESN: images are cropped relative to their masks']
    assert refused == ['images/HESN_000.png', 'images/HESN_001.png', 'images/HESN_002.png']
    assert len(report['left_out']['blank mask (normal)']) == 9
    for name in ('PBXX_000', 'PBXX_001'):  # green, red
        assert np.array_equal(read_mask(tmp_path / 'out', rows[name]), square(4, 5, 7))
    assert (rows['PAXX_001'].patient, rows['PAXX_001'].label) == ('PAXX', 'malignant')
    assert (rows['PAXX_000'].flags, rows['PAXX_001'].flags) == ('combined', 'doppler;combined')


def test_bus_uclm_unknown_colour_is_refused(tmp_path):
    root = make_bus_uclm(tmp_path / 'src')
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[4:8, 4:8] = (0, 0, 255)
    save(root / 'masks' / 'PAXX_000.png', mask)
    with pytest.raises(DatasetError, match=r'masks/PAXX_000.png: unknown mask values.*\(0, 0, 255\): 16'):
        convert(BUSUCLMConverter(), root, tmp_path / 'out')


def make_folders(root, ending=''):
    for number in range(14):
        save(root / 'pictures' / f'site {number % 2}' / f'p{number // 2}_{number}.jpg', noise(7000 + number))
        save(
            root / 'labels' / f'site {number % 2}' / f'p{number // 2}_{number}{ending}.png',
            square(4, 2 + number) // 255,
        )
    return root


def test_generic_folders_patients_and_stated_values(tmp_path):
    converter = FolderConverter('mine', 'pictures', 'labels', '_seg', r'(p\d+)_', GreyValueMap({0: 0, 1: 1}))
    report, rows = run(converter, make_folders(tmp_path / 'src', '_seg'), tmp_path / 'out')
    assert report['dataset'] == 'mine' and len(rows) == 14
    assert (rows['site_1_p3_7'].patient, rows['site_1_p3_7'].source) == ('p3', 'pictures/site 1/p3_7.jpg')
    assert np.array_equal(read_mask(tmp_path / 'out', rows['site_1_p3_7']), square(4, 9))
    assert Image.open(tmp_path / 'out' / rows['site_1_p3_7'].image).format == 'PNG'


def test_generic_folders_may_be_wrapped_in_another(tmp_path):
    make_folders(tmp_path / 'src' / 'download' / 'v1', '_seg')
    converter = FolderConverter('mine', 'pictures', './labels/', '_seg', mask_rule=MaskThreshold(0))
    _, rows = run(converter, tmp_path / 'src', tmp_path / 'out')
    assert rows['site_1_p3_7'].source == 'pictures/site 1/p3_7.jpg'


def test_images_and_masks_in_one_folder_are_told_apart_by_their_ending(tmp_path):
    for number in range(14):
        save(tmp_path / 'src' / f'{number}.png', noise(7000 + number))
        save(tmp_path / 'src' / f'{number}_mask.png', square(4, 2 + number))
    _, rows = run(FolderConverter('mine', '.', '.', '_mask'), tmp_path / 'src', tmp_path / 'out')
    assert sorted(rows, key=int) == [str(number) for number in range(14)]


def test_generic_threshold_reads_what_the_default_refuses(tmp_path):
    root = make_folders(tmp_path / 'src')
    with pytest.raises(DatasetError, match='14 faults found'):
        convert(FolderConverter('mine', 'pictures', 'labels'), root, tmp_path / 'out')
    _, rows = run(FolderConverter('mine', 'pictures', 'labels', mask_rule=MaskThreshold(0)), root, tmp_path / 'out')
    assert {row.n_components for row in rows.values()} == {1}


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'images': 'photos'}, 'expected a folder with photos, labels side by side'),
        ({'patient_pattern': r'case(\d+)'}, 'finds no patient in it'),
        ({'patient_pattern': '('}, 'is not a regular expression'),
        ({'masks': 'pictures'}, 'say how masks end'),
    ],
)
def test_generic_mistakes_are_explained(tmp_path, arguments, message):
    root = make_folders(tmp_path / 'src')
    with pytest.raises(DatasetError, match=message):
        convert(
            FolderConverter('mine', **({'images': 'pictures', 'masks': 'labels'} | arguments)), root, tmp_path / 'out'
        )
