import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.splits import Splits, shared_groups

GROUPS = {'a': 'g1', 'b': 'g1', 'c': 'g2', 'd': 'g3', 'e': 'g4', 'f': 'g5'}


def make(protocol='grouped', **changes):
    parts = {'train': 'abcd', 'test': 'ef', 'folds': ['ab', 'cd'], 'groups': GROUPS} | changes
    return Splits('toy', protocol, 42, **parts)


def stored(tmp_path, change=None):
    path = tmp_path / 'splits.json'
    make().save(path)
    if change is not None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    return path


def test_what_is_saved_is_loaded(tmp_path):
    splits = Splits.load(stored(tmp_path))
    assert splits == make()
    assert splits.fold_names(1) == ('c', 'd')
    assert splits.train_names(1) == ('a', 'b')
    assert splits.digest == make().digest != make('method').digest


def test_bytes_do_not_depend_on_the_order_of_groups(tmp_path):
    make().save(tmp_path / 'a.json')
    make(groups=dict(reversed(GROUPS.items()))).save(tmp_path / 'b.json')
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()


def test_a_name_moved_by_hand_is_noticed(tmp_path):
    def swap(content):
        content['test'][0], content['train'][2], content['folds'][1][0] = 'c', 'e', 'e'

    with pytest.raises(DatasetError, match='changed after it was written'):
        Splits.load(stored(tmp_path, swap))


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'folds': ['ac', 'bd']}, "group 'g1' is on two sides: 'a' in fold 0, 'b' in fold 1"),
        ({'test': 'bef', 'train': 'acd', 'folds': ['a', 'cd']}, "group 'g1' is on two sides: 'b' in test"),
        ({'folds': ['ab', 'c']}, "training image 'd' is in no fold"),
        ({'folds': ['abe', 'cd']}, "image 'e' is in a fold but not in train"),
        ({'folds': ['ab', 'cda']}, "image 'a' is 2 times in folds"),
        ({'test': 'efa'}, "image 'a' is in train and in test"),
        ({'folds': ['abcd', '']}, 'none empty'),
        ({'folds': ['abcd']}, '1 folds'),
        ({'groups': {**GROUPS, 'z': 'g9'}}, "image 'z' is in either the split or its groups"),
        ({'protocol': 'random'}, "protocol 'random'"),
    ],
)
def test_what_leaks_or_does_not_add_up_is_refused(changes, message):
    with pytest.raises(DatasetError, match=message):
        make(**changes)


def test_method_protocol_may_leak():
    assert shared_groups(GROUPS, make('method', folds=['ac', 'bd']).fold_names(0), 'bd') == {'g1'}


@pytest.mark.parametrize('k', [-1, 2])
def test_a_fold_that_is_not_there_is_named(k):
    with pytest.raises(DatasetError, match=f'fold {k} asked for, expected 0..1'):
        make().fold_names(k)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda content: content.pop('groups'), r"lacks the keys \['groups'\]"),
        (lambda content: content.update(format=2), 'format 2, expected 1'),
        (lambda content: content.update(seed='42'), "seed is '42'"),
        (lambda content: content.update(n_folds=3), 'n_folds = 3'),
        (lambda content: content.update(test=[1]), 'test is not a list of names'),
        (lambda content: content.update(extra=1), r"unknown keys \['extra'\]"),
    ],
)
def test_malformed_files_are_explained(tmp_path, change, message):
    with pytest.raises(DatasetError, match=message):
        Splits.load(stored(tmp_path, change))


def test_absent_and_broken_files_are_explained(tmp_path):
    with pytest.raises(DatasetError, match='absent; convert'):
        Splits.load(tmp_path / 'none.json')
    (tmp_path / 'half.json').write_text('{"format": 1, ')
    with pytest.raises(DatasetError, match='not a readable JSON'):
        Splits.load(tmp_path / 'half.json')


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_content_gets_past_or_ends_in_another_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp('fuzz') / 'splits.json'
    make().save(path)
    content = json.loads(path.read_text())
    key = data.draw(st.sampled_from(sorted(content)))
    value = data.draw(ANYTHING.filter(lambda value: json.dumps(value) != json.dumps(content[key])))
    content[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError):
        Splits.load(path)
