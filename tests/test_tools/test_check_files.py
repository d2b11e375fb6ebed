"""Files are refused for what nobody wants in a repository, and for nothing else."""

import pytest
from run_tool import load_tool

tool = load_tool('misc/check_files.py')


@pytest.mark.parametrize(
    'content, said',
    [
        (b'a\nb\n', []),
        (b'', []),
        (b'a \nb\t\n', [':1: space', ':2: space']),
        (b'a', ['one newline']),
        (b'a\n\n', ['one newline']),
        (b'<<<<<<< mine\n=======\n>>>>>>> theirs\n', [':1: a merge mark', ':3: a merge mark']),
        (b'a\n' * 300_000, ['586 KiB']),
    ],
)
def test_each_fault_is_named(tmp_path, content, said):
    path = tmp_path / 'file.md'
    path.write_bytes(content)
    faults = tool.faults(path)
    assert len(faults) == len(said) and all(part in fault for part, fault in zip(said, faults))


@pytest.mark.parametrize('ending', ['png', 'csv.gz'])
def test_a_picture_and_a_packed_file_have_no_lines(tmp_path, ending):
    path = tmp_path / f'file.{ending}'
    path.write_bytes(b'\x89PNG \n  ')
    assert tool.faults(path) == []


def test_exit_code_and_message(tmp_path, capsys):
    path = tmp_path / 'file.md'
    path.write_text('fine\n')
    assert tool.main([str(path)]) == 0
    path.write_text('not')
    assert tool.main([str(path)]) == 1
    assert capsys.readouterr().out == f'{path}: has to end with one newline\n'
