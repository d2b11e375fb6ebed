"""The two real datasets, where they are at hand. Names alone are read by default; images in the slow tests."""

from collections import Counter
from pathlib import Path

import pytest

from ultrarefiner.data_preparation import Splits, read_manifest
from ultrarefiner.data_preparation.archive import open_archive
from ultrarefiner.data_preparation.conversion import SplitOptions, convert
from ultrarefiner.data_preparation.converters import BUSBRAConverter, BUSIConverter
from ultrarefiner.data_preparation.splits import shared_groups
from ultrarefiner.data_preparation.splitting import method_split
from ultrarefiner.data_preparation.verification import verify

DATA = Path(__file__).resolve().parents[2] / '../shared/data'


@pytest.fixture
def busi():
    if not (DATA / 'Dataset_BUSI_with_GT').is_dir():
        pytest.skip('needs Dataset_BUSI_with_GT in ../shared/data')
    return DATA / 'Dataset_BUSI_with_GT'


@pytest.fixture
def busbra():
    if not (DATA / 'BUSBRA').is_dir():
        pytest.skip('needs BUSBRA in ../shared/data')
    return DATA / 'BUSBRA'


def test_busi_names_give_the_counts_of_the_methods_table(busi):
    with open_archive(busi) as archive:
        collection = BUSIConverter().collect(archive)
    assert Counter(sample.label for sample in collection.samples) == {'benign': 437, 'malignant': 210, 'normal': 133}
    several = Counter(sample.label for sample in collection.samples if len(sample.mask_sources) > 1)
    assert several == {'benign': 16, 'malignant': 1} and not collection.faults
    names = {sample.name: sample.name for sample in collection.samples if sample.label != 'normal'}
    splits = method_split('BUSI', names, 42, 5, 0.2)
    assert (len(splits.train), len(splits.test)) == (518, 129)


@pytest.mark.slow
def test_busi_converts_with_nothing_on_two_sides(busi, tmp_path):
    report = convert(BUSIConverter(), busi, tmp_path / 'grouped')
    assert report['counts']['train']['found'] == 518 and report['counts']['test']['found'] == 129
    assert [len(names) for names in report['left_out'].values()] == [133]
    assert report['flags']['multiple_masks'] == 17
    assert report['near_duplicate_pairs'] > 100
    assert report['leak_of_a_plain_random_split']['share_of_pairs'] > 0.2
    assert report['leak_of_this_split']['pairs_on_both_sides'] == 0
    rows = {row.name: row for row in read_manifest(tmp_path / 'grouped' / 'manifest.csv')}
    twins = rows['benign_0433'], rows['malignant_0145']
    assert twins[0].sha256 == twins[1].sha256 and twins[0].group == twins[1].group
    assert max(Counter(row.group for row in rows.values()).values()) <= 8
    assert verify(tmp_path / 'grouped') == []
    report = convert(BUSIConverter(), busi, tmp_path / 'method', SplitOptions('method'))
    assert report['counts']['train']['found'] == 518 and report['counts']['test']['found'] == 129


@pytest.mark.slow
def test_busbra_converts_with_no_patient_on_two_sides(busbra, tmp_path):
    report = convert(BUSBRAConverter(), busbra, tmp_path / 'out')
    splits = Splits.load(tmp_path / 'out' / 'splits.json')
    assert report['counts']['images']['found'] == 1414
    assert not shared_groups(splits.groups, splits.train, splits.test)
    assert report['leak_of_a_plain_random_split']['share_of_test_by_group'] > 0.5
    assert verify(tmp_path / 'out') == []
