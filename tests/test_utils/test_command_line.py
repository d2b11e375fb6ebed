"""What every tool says to a wrong command line, and its exit codes."""

import os
import subprocess
import sys

import pytest
from mmengine.config import Config

from ultrarefiner.apis.cli import output_held
from ultrarefiner.utils.command_line import input_file, input_folder, one_message, run_tool, tool_parser

DOC = """Do a thing.

Example:
  python do.py x
"""


@pytest.fixture
def parser():
    parser = tool_parser(DOC)
    parser.prog = 'do.py'
    parser.add_argument('--data-dir', help='folder')
    parser.add_argument('--subset', choices=['val', 'test'], help='images')
    parser.add_argument('--folds', nargs='+', type=int, help='folds')
    parser.add_argument('config', help='file')
    return parser


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--data_dir', 'x'], 'there is no option --data_dir, did you mean --data-dir?'),
        (['c', '--data-dri=x'], 'there is no option --data-dri, did you mean --data-dir?'),
        (['c', '--data', 'x'], 'there is no option --data'),  # no abbreviations
        (['c', '--unheard-of'], 'there is no option --unheard-of ('),
        (['c', '--subset', 'tset'], "argument --subset: 'tset' is none of val, test, did you mean test?"),
        (['c', '--folds', 'one'], "argument --folds: invalid int value: 'one'"),
        ([], 'the following arguments are required: config'),
        (['c', 'd'], 'unrecognized arguments: d'),
    ],
)
def test_a_wrong_word_is_one_line_that_names_the_right_one(parser, capsys, arguments, message):
    with pytest.raises(SystemExit, match='2'):
        parser.parse_args(arguments)
    err = capsys.readouterr().err
    assert err.startswith(f'error: {message}') and err.endswith('(do.py --help shows what there is)\n')
    assert err.count('\n') == 1


def test_what_follows_two_dashes_is_no_option(parser):
    assert parser.parse_args(['--', '--config']).config == '--config'
    assert parser.parse_args(['c', '--folds', '-1']).folds == [-1]


def test_help_begins_with_the_purpose(parser):
    lines = parser.format_help().splitlines()
    assert lines[:2] == ['Do a thing.', ''] and lines[2].startswith('usage: do.py')
    assert '  python do.py x' in lines and lines.count('Do a thing.') == 1


def test_an_input_that_is_not_there_names_its_neighbour_or_the_remedy(tmp_path, capsys):
    (tmp_path / 'best.pth').touch()
    (tmp_path / 'runs').mkdir()
    parser = tool_parser(DOC)
    parser.add_argument('--file', type=input_file('train first'), help='a file')
    parser.add_argument('--folder', type=input_folder('convert first'), help='a folder')

    def message(*arguments):
        with pytest.raises(SystemExit, match='2'):
            parser.parse_args(arguments)
        return capsys.readouterr().err

    assert parser.parse_args(['--file', str(tmp_path / 'best.pth')]).file == tmp_path / 'best.pth'
    assert f'bset.pth does not exist, did you mean {tmp_path}/best.pth?' in message('--file', f'{tmp_path}/bset.pth')
    assert 'zzz does not exist; train first' in message('--file', f'{tmp_path}/nowhere/zzz')
    assert 'runs is no file; train first' in message('--file', f'{tmp_path}/runs')
    assert 'best.pth is no folder; convert first' in message('--folder', f'{tmp_path}/best.pth')


def test_a_mistake_is_one_line_and_a_bug_is_not(capsys):
    with pytest.raises(SystemExit, match='2'), one_message():
        raise KeyError('no model x')
    assert capsys.readouterr().err == 'error: no model x\n'
    with pytest.raises(ZeroDivisionError), one_message():
        1 / 0  # noqa: B018
    with pytest.raises(AttributeError), one_message():
        None.model  # noqa: B018
    with pytest.raises(SystemExit, match='2'), one_message():
        Config(dict(x=1)).model  # noqa: B018
    assert capsys.readouterr().err.startswith("error: the config is incomplete, it lacks 'model'; ")
    with pytest.raises(BrokenPipeError), one_message():
        raise BrokenPipeError


def test_what_the_system_refuses_is_told_with_the_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, one_message():
        (tmp_path / 'file').write_text('')
        (tmp_path / 'file' / 'below').mkdir()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f'error: {tmp_path}/file/below: not a directory\n'


def test_output_is_held_back_from_a_mistake_alone(capsys):
    def build(error=None):
        with output_held():
            print('config')
            build.stream = sys.stdout
            if error is not None:
                raise error
        print('later', file=build.stream)

    build()
    assert capsys.readouterr().out == 'config\nlater\n'
    for error, shown in ((ValueError('x'), ''), (ZeroDivisionError(), 'config\n'), (KeyboardInterrupt(), 'config\n')):
        with pytest.raises(type(error)):
            build(error)
        assert capsys.readouterr().out == shown


@pytest.mark.parametrize('code, expected', [(None, None), (0, 0), (1, 1)])
def test_the_exit_code_is_that_of_main(code, expected):
    with pytest.raises(SystemExit) as ended:
        run_tool(lambda: code)
    assert ended.value.code == expected


def test_ctrl_c_is_one_line_that_says_how_to_go_on(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match='130'):
        run_tool(main, 'the same command goes on from here')
    assert capsys.readouterr().err == 'interrupted; the same command goes on from here\n'


def test_a_closed_pipe_leaves_no_traceback():
    code = (
        'from ultrarefiner.utils.command_line import one_message, run_tool\n'
        'def main():\n'
        '    with one_message():\n'
        '        for line in range(100000):\n'
        '            print(line)\n'
        'run_tool(main)'
    )
    reading, writing = os.pipe()
    tool = subprocess.Popen([sys.executable, '-c', code], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    assert tool.communicate()[1] == '' and tool.returncode == 141
