from collections import Counter

import pytest

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.splits import shared_groups
from ultrarefiner.data_preparation.splitting import area_tertiles, grouped_split, method_split


def make_groups(n_images, per_group):
    return {f'i{index:04d}': f'g{index // per_group}' for index in range(n_images)}


def make_strata(groups):
    labels = {name: ('benign', 'malignant')[int(group[1:]) % 3 == 0] for name, group in groups.items()}
    return {name: (f'{label} {"small" if int(name[1:]) % 2 else "large"}', label) for name, label in labels.items()}


@pytest.mark.parametrize(
    'total, train, test', [(647, 518, 129), (1875, 1500, 375), (562, 450, 112), (956, 765, 191), (163, 130, 33)]
)
def test_method_split_has_the_counts_of_the_methods_table(total, train, test):
    splits = method_split('x', make_groups(total, 2), 42, 5, 0.2)
    assert (len(splits.train), len(splits.test)) == (train, test)
    assert max(map(len, splits.folds)) - min(map(len, splits.folds)) <= 1
    assert shared_groups(splits.groups, splits.train, splits.test)


def test_method_split_follows_its_seed():
    groups = make_groups(100, 2)
    assert method_split('x', groups, 1, 5, 0.2) == method_split('x', dict(reversed(groups.items())), 1, 5, 0.2)
    assert method_split('x', groups, 1, 5, 0.2).test != method_split('x', groups, 2, 5, 0.2).test


@pytest.mark.parametrize('share', [0.2, 0.3, 0.15])
def test_grouped_split_has_the_size_asked_for_and_no_group_on_two_sides(share):
    groups = make_groups(200, 2)
    splits, _ = grouped_split('x', groups, make_strata(groups), 42, 5, share)
    assert abs(len(splits.test) - share * 200) <= 2
    for k in range(5):
        assert not shared_groups(groups, splits.fold_names(k), splits.train_names(k) + splits.test)
    assert max(map(len, splits.folds)) - min(map(len, splits.folds)) <= 4


def test_grouped_split_is_stratified():
    groups = make_groups(240, 2)
    strata = make_strata(groups)
    splits, _ = grouped_split('x', groups, strata, 42, 5, 0.2)
    whole = Counter(strata[name][0] for name in groups)
    for side in (splits.test, *splits.folds):
        here = Counter(strata[name][0] for name in side)
        assert max(abs(here[stratum] / len(side) - whole[stratum] / 240) for stratum in whole) < 0.06


def test_grouped_split_follows_its_seed():
    groups = make_groups(100, 2)
    strata = make_strata(groups)
    one, same, other = (grouped_split('x', groups, strata, seed, 5, 0.2)[0] for seed in (1, 1, 2))
    assert one == same
    assert one.test != other.test


def test_official_folds_are_kept_and_a_torn_group_mended():
    groups = make_groups(60, 3)
    official = {name: str(int(group[1:]) % 5 + 1) for name, group in groups.items()}
    splits, notes = grouped_split('x', groups, make_strata(groups), 42, 5, 0.2, official)
    assert [{official[name] for name in fold} for fold in splits.folds] == [{str(k)} for k in range(1, 6)]
    torn = next(name for name in splits.train if official[name] == '1')
    splits, notes = grouped_split('x', groups, make_strata(groups), 42, 5, 0.2, official | {torn: '2'})
    assert torn in splits.folds[0]
    assert torn in notes[-1]


def test_official_folds_of_another_number_are_not_used_silently():
    groups = make_groups(60, 3)
    _, notes = grouped_split('x', groups, make_strata(groups), 42, 4, 0.2, dict.fromkeys(groups, '1'))
    assert 'has 1 folds, not 4' in notes[0]


def test_rare_strata_fall_back_to_their_label():
    groups = make_groups(40, 1)
    strata = {name: (f'benign {name}', 'benign') for name in groups}
    splits, _ = grouped_split('x', groups, strata, 42, 5, 0.2)
    assert len(splits.test) == 8


def test_too_few_groups_are_refused():
    groups = make_groups(100, 20)
    with pytest.raises(DatasetError, match='100 images in 5 groups.*expected 6 or more'):
        grouped_split('x', groups, make_strata(groups), 42, 5, 0.2)


def test_one_giant_group_is_explained():
    groups = {f'i{index}': 'giant' if index < 50 else f'g{index % 5}' for index in range(60)}
    with pytest.raises(DatasetError, match='do not fill 5 folds|expected'):
        grouped_split('x', groups, make_strata({name: 'g1' for name in groups}), 42, 5, 0.2)


def test_tertiles_are_thirds():
    sizes = area_tertiles({str(value): value / 100 for value in range(90)})
    assert Counter(sizes.values()) == {'small': 30, 'medium': 30, 'large': 30}
    assert (sizes['0'], sizes['45'], sizes['89']) == ('small', 'medium', 'large')
