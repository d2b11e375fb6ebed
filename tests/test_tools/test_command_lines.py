"""Every tool of tools/: its help, its example, and how it answers a user's mistake."""

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = sorted(
    path
    for path in (ROOT / 'tools').rglob('*.py')
    if path.name != '__init__.py' and "if __name__ == '__main__'" in path.read_text()
)
# A path in the project, in a line of an example.
PART_OF_PROJECT = re.compile(r'(?:configs|tools|projects|docs)/\S+\.(?:py|sh|md)')
ABSENT = 'absent/absent'
# Arguments that name what a tool writes.
WRITTEN = {'dst', 'destination', 'out'}

pytestmark = pytest.mark.filterwarnings('ignore')


class Asked(Exception):
    """Carries a tool's parser out of it, at the moment at which it reads the command line."""

    def __init__(self, parser):
        self.parser = parser


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a tool in this process, in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(path, *arguments):
        monkeypatch.setattr(sys, 'argv', [str(path), *arguments])
        monkeypatch.setattr(sys, 'path', [str(path.parent), *sys.path])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name='__main__')
        return (ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def parser_of(monkeypatch):
    """Get the parser of a tool, without running more of it."""

    def ask(parser, *_):
        raise Asked(parser)

    def parser_of(path):
        with monkeypatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, 'parse_known_args', ask)
            patch.setattr(sys, 'argv', [str(path)])
            patch.setattr(sys, 'path', [str(path.parent), *sys.path])
            with pytest.raises(Asked) as caught:
                runpy.run_path(str(path), run_name='__main__')
        return caught.value.parser

    return parser_of


def commands(text):
    """The command lines under 'Example:' of a docstring, each as one line."""
    example = text.partition('Example:\n')[2].partition('\n\n')[0].replace('\\\n', ' ')
    return [line.strip() for line in example.splitlines() if line.strip().startswith('python ')]


def arguments_for(parser):
    """A command line with everything that a tool requires, where each file it names is absent; [] if it reads none."""
    given, reads = [], False
    for action in parser._actions:
        if action.option_strings and not action.required:
            continue
        if not action.option_strings and action.nargs in ('?', '*'):
            continue
        value = str(next(iter(action.choices))) if action.choices else '1' if action.type in (int, float) else ABSENT
        given += [*action.option_strings[:1], value]
        reads |= value == ABSENT and action.dest not in WRITTEN
    return given if reads else []


every_tool = pytest.mark.parametrize('path', TOOLS, ids=lambda path: str(path.relative_to(ROOT / 'tools')))


@every_tool
def test_help_begins_with_one_line_of_purpose_and_explains_every_argument(path, run, parser_of):
    code, out, err = run(path, '--help')
    first, second, *_ = out.splitlines()
    assert (code, err) == (0, '')
    assert first.endswith(('.', ':')) and 20 < len(first) <= 120 and not second
    assert [action.dest for action in parser_of(path)._actions if not action.help] == []


@every_tool
def test_help_has_an_example_that_the_tool_takes(path, parser_of):
    parser = parser_of(path)
    examples = [shlex.split(example.partition('  (')[0]) for example in commands(parser.description)]
    named = [word for example in examples for word in example if PART_OF_PROJECT.fullmatch(word)]
    assert [word for word in named if not (ROOT / word).is_file()] == []
    own = [example[2:] for example in examples if ROOT / example[1] == path]
    assert own, 'expected a line that begins with python tools/... under Example:'
    accept_any_path(parser)
    for arguments in own:
        parser.parse_args(arguments)


@every_tool
def test_an_unknown_option_is_answered_with_the_nearest(path, run, parser_of):
    options = [
        name
        for action in parser_of(path)._actions
        for name in action.option_strings
        if name.startswith('--') and action.help != argparse.SUPPRESS
    ]
    typo = f'{options[-1][:-1]}x'
    code, out, err = run(path, typo)
    assert (code, out) == (2, '') and is_one_line(err)
    assert f'there is no option {typo}, did you mean --' in err


@every_tool
def test_an_absent_file_is_one_line_and_nothing_is_written(path, run, parser_of, tmp_path):
    given = arguments_for(parser_of(path))
    if not given:
        pytest.skip('reads no file')
    code, _, err = run(path, *given)
    assert code == 2 and is_one_line(err) and 'absent' in err
    assert not any(tmp_path.iterdir())


def accept_any_path(parser):
    """Files that an example makes itself need not be there."""
    for action in parser._actions:
        if action.type not in (None, int, float):
            action.type = None


def is_one_line(err):
    return err.startswith('error: ') and err.count('\n') == 1
