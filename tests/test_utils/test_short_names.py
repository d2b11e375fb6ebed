import pytest

from ultrarefiner.utils.short_names import short_names


@pytest.mark.parametrize(
    'paths, names',
    [
        (['x/fold_0'], ['fold_0']),
        (['x/fold_0', 'x/fold_1'], ['fold_0', 'fold_1']),
        (['x/a/seed', 'x/b/seed'], ['a', 'b']),
        (['x/a/1/seed', 'x/b/2/seed'], ['a/1', 'b/2']),
        (['x', 'x/x'], ['.', 'x']),
    ],
)
def test_folders_are_named_by_what_tells_them_apart(paths, names):
    assert short_names(paths) == names


def test_the_same_folder_twice_is_refused():
    with pytest.raises(ValueError, match='given twice'):
        short_names(['a', 'b/../a'])
