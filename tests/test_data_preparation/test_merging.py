import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from archive_makers import all_bytes, make_busbra, make_busi, make_busis, save
from PIL import Image

from ultrarefiner.data_preparation import DatasetError, Splits, read_manifest
from ultrarefiner.data_preparation.conversion import SplitOptions, convert
from ultrarefiner.data_preparation.converters import BUSBRAConverter, BUSConverter, BUSIConverter
from ultrarefiner.data_preparation.manifest import write_manifest
from ultrarefiner.data_preparation.merged_splits import merged_splits
from ultrarefiner.data_preparation.merging import merge
from ultrarefiner.data_preparation.verification import verify


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """`busi` (no patients) and `busbra` (16 of two views), three folds each; their archives lie in `archives`."""
    base = tmp_path_factory.mktemp('sources')
    make_busi(base / 'archives' / 'busi'), make_busbra(base / 'archives' / 'busbra')
    convert(BUSIConverter(), base / 'archives' / 'busi', base / 'busi', SplitOptions(n_folds=3))
    convert(BUSBRAConverter(), base / 'archives' / 'busbra', base / 'busbra', SplitOptions(n_folds=3))
    return base


@pytest.fixture(scope='module')
def merged(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp('merged') / 'both'
    return folder, merge([sources / 'busi', sources / 'busbra'], folder)


def read(folder):
    rows = {row.name: row for row in read_manifest(folder / 'manifest.csv')}
    return rows, Splits.load(folder / 'splits.json')


def busi_with_copies(sources, tmp_path, count, same_side, protocol='grouped'):
    """BUSI again, with images that are those of BUS-BRA; (path, [(name in busi, name in busbra)])."""
    shutil.copytree(sources / 'archives' / 'busi', tmp_path / 'archive')
    sides, others = (read(sources / name)[1].sides for name in ('busi', 'busbra'))
    candidates = [name for name in sorted(others) if name.endswith('-l')]
    pairs = []
    for number in range(2, 2 + count):
        name = f'malignant_{number:04d}'
        other = next(other for other in candidates if (others[other] == sides[name]) == same_side)
        candidates.remove(other)
        pairs.append((name, other))
        image = sources / 'archives' / 'busbra' / 'Images' / f'{other}.png'
        save(tmp_path / 'archive' / 'malignant' / f'malignant ({number}).png', Image.open(image))
    convert(BUSIConverter(), tmp_path / 'archive', tmp_path / 'busi', SplitOptions(protocol, n_folds=3))
    return tmp_path / 'busi', pairs


def test_folds_and_test_set_are_the_unions_and_names_say_the_source(sources, merged):
    splits = read(merged[0])[1]
    busi, busbra = read(sources / 'busi')[1], read(sources / 'busbra')[1]

    def united(ours, theirs):
        return sorted([*(f'busi_{name}' for name in ours), *(f'busbra_{name}' for name in theirs)])

    assert list(splits.test) == united(busi.test, busbra.test)
    assert list(splits.train) == united(busi.train, busbra.train)
    assert [list(fold) for fold in splits.folds] == [united(*folds) for folds in zip(busi.folds, busbra.folds)]
    assert (splits.dataset, splits.protocol, splits.seed) == ('both', 'grouped', 42)
    assert splits.groups['busbra_bus_0003-l'] == splits.groups['busbra_bus_0003-r'] == 'busbra_patient_3'
    assert splits.groups['busi_benign_0005'] == splits.groups['busi_malignant_0001'] == 'busi_cluster_benign_0005'


def test_rows_keep_what_was_known_and_pixels_are_equal(sources, merged):
    rows = read(merged[0])[0]
    assert list(rows) == sorted(rows) and len(rows) == 25 + 32
    for source in ('busi', 'busbra'):
        for name, row in read(sources / source)[0].items():
            new = rows[f'{source}_{name}']
            kept = ('label', 'split', 'height', 'width', 'sha256', 'dhash', 'n_components', 'fg_fraction', 'flags')
            assert all(getattr(new, column) == getattr(row, column) for column in (*kept, 'mask_sha256'))
            for kind in ('image', 'mask'):
                files = merged[0] / getattr(new, kind), sources / source / getattr(row, kind)
                assert np.array_equal(*(np.asarray(Image.open(file)) for file in files))
                assert not os.path.samefile(*files)
    assert {row.dataset for row in rows.values()} == {'both'}
    assert rows['busi_benign_0001'].image.endswith('/images/busi_benign_0001.png')
    assert rows['busi_benign_0001'].source == 'busi/benign/benign (1).png'
    two_masks = 'busi/benign/benign (1)_mask.png;busi/benign/benign (1)_mask_1.png'
    assert rows['busi_benign_0001'].mask_source == two_masks
    assert (rows['busi_benign_0001'].patient, rows['busbra_bus_0003-l'].patient) == ('', 'busbra_3')


def test_verification_finds_nothing_and_the_report_tells_the_sources(sources, merged):
    folder, report = merged
    assert verify(folder) == []
    busi, busbra = read(sources / 'busi')[1], read(sources / 'busbra')[1]
    assert list(report['sources']) == ['busbra', 'busi']
    assert report['sources']['busi']['splits_sha256'] == busi.digest
    assert report['sources']['busi']['labels'] == {'benign': 16, 'malignant': 9}
    assert (report['images'], report['test']) == (57, len(busi.test) + len(busbra.test))
    assert report['near_duplicate_pairs_across_sources'] == []
    assert report['near_duplicate_pairs'] == 1  # benign (5) and malignant (1)
    folds = ', '.join(str(len(fold)) for fold in busi.folds)
    row = f'| busi | BUSI | 42 | `{busi.digest[:12]}` | 25 | {len(busi.train)} | {len(busi.test)} | {folds} |'
    assert row in (folder / 'report.md').read_text()


def test_bytes_depend_on_the_sources_alone(sources, merged, tmp_path, monkeypatch):
    for name in ('busi', 'busbra'):
        shutil.copytree(sources / name, tmp_path / name)
    monkeypatch.chdir(tmp_path / 'busi')
    merge(['../busbra', '.'], '../elsewhere', name='both')
    assert all_bytes(tmp_path / 'elsewhere') == all_bytes(merged[0])


def test_three_datasets_of_two_seeds(sources, tmp_path):
    options = SplitOptions(seed=1, n_folds=3)
    convert(BUSConverter(), make_busis(tmp_path / 'archive'), tmp_path / 'busis', options)
    report = merge([sources / 'busi', tmp_path / 'busis', sources / 'busbra'], tmp_path / 'out', name='three')
    assert (report['dataset'], report['images'], report['seed']) == ('three', 57 + 14, 0)
    assert [part['seed'] for part in report['sources'].values()] == [42, 42, 1]  # in order of the folders' names
    assert verify(tmp_path / 'out') == []


def test_a_merged_dataset_names_its_parts_and_is_not_merged_again(sources, merged, tmp_path):
    busi, busbra = (read(sources / name)[1].digest for name in ('busi', 'busbra'))
    assert merged_splits(merged[0]) == {'BUSI': busi, 'BUSBRA': busbra}
    assert merged_splits(sources / 'busi') == {}
    convert(BUSConverter(), make_busis(tmp_path / 'archive'), tmp_path / 'busis', SplitOptions(n_folds=3))
    with pytest.raises(DatasetError, match='both: was merged of BUSBRA, BUSI; merge the folders of these in one go'):
        merge([merged[0], tmp_path / 'busis'], tmp_path / 'out')


def test_datasets_of_one_name_are_refused(sources, tmp_path):
    shutil.copytree(sources / 'busi', tmp_path / 'again')
    with pytest.raises(DatasetError, match="again and .*busi both hold a dataset 'BUSI'; convert one again"):
        merge([sources / 'busi', tmp_path / 'again'], tmp_path / 'out')
    with pytest.raises(DatasetError, match="would be called 'BUSI', as that in .*busi is; give another with --name"):
        merge([sources / 'busi', sources / 'busbra'], tmp_path / 'out', name='BUSI')


def test_an_image_on_two_sides_across_the_sources_is_refused_and_named(sources, tmp_path):
    busi, pairs = busi_with_copies(sources, tmp_path, 6, same_side=False)
    with pytest.raises(DatasetError, match='6 faults found') as caught:
        merge([busi, sources / 'busbra'], tmp_path / 'out')
    message = str(caught.value)
    assert message.count('show one place') == 5 and 'and 1 more' in message and 'Leave one of the datasets' in message
    sides, others = read(busi)[1].sides, read(sources / 'busbra')[1].sides
    name, other = min(pairs, key=lambda pair: pair[1])
    assert f'busbra/Images/{other}.png ({others[other]}) and busi/malignant/' in message
    assert f'malignant ({int(name[-4:])}).png ({sides[name]}) show one place' in message
    assert not (tmp_path / 'out').exists()


def test_near_duplicates_on_one_side_get_one_group(sources, tmp_path):
    busi, [(name, other)] = busi_with_copies(sources, tmp_path, 1, same_side=True)
    report = merge([busi, sources / 'busbra'], tmp_path / 'out')
    rows, splits = read(tmp_path / 'out')
    assert report['near_duplicate_pairs_across_sources'] == [[f'busbra_{other}', f'busi_{name}']]
    group = splits.groups[f'busi_{name}']
    members = {f'busi_{name}', f'busbra_{other}', f'busbra_{other[:-1]}r'}  # the patient's other view as well
    assert {image for image, its in splits.groups.items() if its == group} == members
    assert {rows[image].group for image in members} == {group} == {f'busbra_patient_{int(other[4:8])}'}
    assert 'identical_pixels;near_duplicate' in rows[f'busi_{name}'].flags
    assert verify(tmp_path / 'out') == []


def test_plain_splits_are_merged_with_their_leak_told(sources, tmp_path):
    busi, _ = busi_with_copies(sources, tmp_path, 8, same_side=True, protocol='method')
    plain = SplitOptions('method', n_folds=3)
    convert(BUSBRAConverter(), sources / 'archives' / 'busbra', tmp_path / 'busbra', plain)
    report = merge([busi, tmp_path / 'busbra'], tmp_path / 'out')
    assert len(report['near_duplicate_pairs_across_sources']) == 8
    assert report['leak_of_this_split']['pairs_on_both_sides'] > 0
    assert verify(tmp_path / 'out') == []


@pytest.mark.parametrize(
    'options, message',
    [
        (SplitOptions(n_folds=4), 'busbra was converted with --folds 3, .*busi with --folds 4; convert one again with'),
        (SplitOptions('method', n_folds=3), 'busbra was converted with --protocol grouped, .*busi with --protocol met'),
    ],
)
def test_other_folds_or_protocols_are_refused(sources, tmp_path, options, message):
    convert(BUSIConverter(), sources / 'archives' / 'busi', tmp_path / 'busi', options)
    with pytest.raises(DatasetError, match=message):
        merge([tmp_path / 'busi', sources / 'busbra'], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_one_folder_twice_and_names_that_clash_are_refused(sources, tmp_path):
    busi, out = sources / 'busi', tmp_path / 'out'
    with pytest.raises(DatasetError, match='1 dataset to merge, expected two or more'):
        merge([busi], out)
    with pytest.raises(DatasetError, match='are one folder'):
        merge([busi, sources / 'busbra', busi / '..' / 'busi'], out)
    (tmp_path / 'link').symlink_to(busi)
    with pytest.raises(DatasetError, match='are one folder'):
        merge([busi, tmp_path / 'link'], out)
    shutil.copytree(sources / 'busbra', tmp_path / 'BUSI')
    with pytest.raises(DatasetError, match='the same folder name'):
        merge([busi, tmp_path / 'BUSI'], out)
    os.rename(tmp_path / 'BUSI', tmp_path / 'bus bra')
    with pytest.raises(DatasetError, match="'bus bra' is not safe; rename the folder"):
        merge([busi, tmp_path / 'bus bra'], out)
    with pytest.raises(DatasetError, match="'a/b' is not safe as the name of a dataset; give another with --name"):
        merge([busi, sources / 'busbra'], out, name='a/b')


@pytest.mark.parametrize('kind', ['name', 'patient'])
def test_names_that_only_the_folder_would_tell_apart_are_refused(sources, tmp_path, kind):
    """Of the folders `a` and `a_b`."""
    shutil.copytree(sources / 'busi', tmp_path / 'a'), shutil.copytree(sources / 'busbra', tmp_path / 'a_b')
    rows = read_manifest(tmp_path / 'a' / 'manifest.csv')
    row = next(row for row in rows if row.name == 'benign_0007')
    if kind == 'patient':
        changed = replace(row, patient='b_3')
    else:
        path = tmp_path / 'a' / 'splits.json'
        splits = Splits.load(path)
        new = 'b_bus_0003-l'

        def rename(names):
            return [new if name == row.name else name for name in names]

        groups = dict(zip(rename(splits.groups), splits.groups.values()))
        folds = [rename(fold) for fold in splits.folds]
        splits = replace(splits, train=rename(splits.train), test=rename(splits.test), folds=folds, groups=groups)
        splits.save(path)
        paths = {column: getattr(row, column).replace(row.name, new) for column in ('name', 'image', 'mask')}
        changed = replace(row, **paths)
    write_manifest(tmp_path / 'a' / 'manifest.csv', [changed if each is row else each for each in rows])
    with pytest.raises(DatasetError, match=f"a and .*a_b would both have the {kind} 'a_b_.*rename one of the folders"):
        merge([tmp_path / 'a', tmp_path / 'a_b'], tmp_path / 'out')


def test_a_destination_that_may_not_be_written_is_refused(sources, tmp_path):
    both = [sources / 'busi', sources / 'busbra']
    for inside in (sources / 'busi' / 'both', sources / 'busbra'):
        with pytest.raises(DatasetError, match='lies inside the source'):
            merge(both, inside, overwrite=True)
    merge(both, tmp_path / 'out', name='first')
    with pytest.raises(DatasetError, match='is not empty'):
        merge(both, tmp_path / 'out')
    merge(both, tmp_path / 'out', overwrite=True)
    assert read(tmp_path / 'out')[1].dataset == 'out'
    (tmp_path / 'out' / 'notes.txt').write_text('mine')
    with pytest.raises(DatasetError, match='no converter wrote.*notes.txt'):
        merge(both, tmp_path / 'out', overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['out']


@pytest.mark.parametrize(
    'harm, message',
    [
        (lambda folder, row: (folder / row.mask).unlink(), 'absent; restore it'),
        (lambda folder, row: save(folder / row.image, np.zeros((36, 48), np.uint8)), 'pixels differ from the manifest'),
        (lambda folder, row: (folder / 'splits.json').unlink(), 'splits.json: absent'),
        (
            lambda folder, row: write_manifest(
                folder / 'manifest.csv', [*read_manifest(folder / 'manifest.csv')[:-1], replace(row, name='new')]
            ),
            'new: in no side of the split',
        ),
    ],
)
def test_a_source_that_is_not_sound_is_refused_and_nothing_is_written(sources, tmp_path, harm, message):
    folder = shutil.copytree(sources / 'busi', tmp_path / 'busi')
    harm(folder, read_manifest(folder / 'manifest.csv')[-1])
    with pytest.raises(DatasetError, match=message):
        merge([folder, sources / 'busbra'], tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['busi']
