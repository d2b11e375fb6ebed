"""A file is there as a whole or as it was."""

import stat

import pytest

from ultrarefiner.utils.whole_file import whole_file


def test_a_file_that_fails_is_as_it_was_and_leaves_nothing(tmp_path):
    (tmp_path / 'a.txt').write_text('old')
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / 'a.txt') as partial:
        partial.write_text('ne')
        raise KeyboardInterrupt
    assert (tmp_path / 'a.txt').read_text() == 'old' and len(list(tmp_path.iterdir())) == 1


def test_until_the_end_others_see_the_old_one(tmp_path):
    (tmp_path / 'a.txt').write_text('old')
    with whole_file(tmp_path / 'a.txt') as partial:
        partial.write_text('new')
        assert (tmp_path / 'a.txt').read_text() == 'old' and partial.suffix == '.txt'
    assert (tmp_path / 'a.txt').read_text() == 'new' and len(list(tmp_path.iterdir())) == 1


def test_it_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / 'plain').write_text('')
    with whole_file(tmp_path / 'a') as partial:
        partial.write_text('')
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'a')]
    assert rights[0] == rights[1]
