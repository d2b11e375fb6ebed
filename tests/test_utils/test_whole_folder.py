import pytest

from ultrarefiner.utils.whole_folder import whole_folder


def write(folder, text, force=False):
    with whole_folder(folder, 'marker', force) as partial:
        (partial / 'marker').write_text(text)
        assert not (folder / 'marker').exists() or (folder / 'marker').read_text() != text


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    folder = tmp_path / 'new' / 'folder'
    with pytest.raises(KeyboardInterrupt), whole_folder(folder, 'marker') as partial:
        (partial / 'marker').write_text('half')
        raise KeyboardInterrupt
    assert list((tmp_path / 'new').iterdir()) == []
    write(folder, 'first')
    assert (folder / 'marker').read_text() == 'first'


def test_only_a_folder_of_the_kind_is_replaced_and_only_if_wanted(tmp_path):
    folder = tmp_path / 'folder'
    folder.mkdir()
    write(folder, 'first')
    with pytest.raises(FileExistsError, match='folder exists; give --force to replace it'):
        write(folder, 'second')
    write(folder, 'second', force=True)
    assert (folder / 'marker').read_text() == 'second'
    (folder / 'of mine').mkdir()
    with pytest.raises(FileExistsError, match='is no earlier export of this format'):
        write(folder, 'third', force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['folder']


def test_what_was_there_stays_where_replacing_fails(tmp_path):
    folder = tmp_path / 'folder'
    write(folder, 'first')
    with pytest.raises(ValueError), whole_folder(folder, 'marker', force=True):
        raise ValueError
    assert (folder / 'marker').read_text() == 'first' and len(list(tmp_path.iterdir())) == 1
