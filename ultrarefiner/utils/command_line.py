"""How every tool talks to its user: arguments, one clear message for a mistake, exit codes.

Exit codes: 0 done; 1 ran and found a fault, or some of the work failed; 2 the user's mistake, nothing was done; 130
interrupted by Ctrl-C; 141 whoever read the output closed it, as ``| head`` does.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

FAULT_FOUND, USER_MISTAKE, INTERRUPTED, OUTPUT_CLOSED = 1, 2, 130, 141
USER_ERRORS = (AssertionError, ImportError, KeyError, OSError, RuntimeError, SyntaxError, TypeError, ValueError)


class ToolParser(argparse.ArgumentParser):
    """A parser whose help begins with what the tool does, and which answers a wrong word with the nearest right one.

    Options are never abbreviated: what a script says today means the same when a tool has more of them.

    Args:
        description (str): The tool's docstring: what it does in its first line, and an example that works.
    """

    def __init__(self, description: str):
        self.summary, _, rest = description.strip().partition('\n')
        super().__init__(
            description=rest, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, add_help=True
        )

    def format_help(self) -> str:
        """What the tool does, then argparse's help."""
        return f'{self.summary}\n\n{super().format_help()}'

    def parse_args(self, args: Sequence[str] | None = None, namespace=None):
        """Read the command line; an unknown option is told before anything that may be missing because of it."""
        given = sys.argv[1:] if args is None else list(args)
        known = list(self._option_string_actions)
        for word in itertools.takewhile(lambda word: word != '--', given):
            name = word.partition('=')[0]
            if name.startswith('--') and name not in known:
                shown = [option for option in known if self._option_string_actions[option].help != argparse.SUPPRESS]
                self.error(f'there is no option {name}{did_you_mean(name, shown)}')
        return super().parse_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """End with one line and the exit code of a user's mistake."""
        self.exit(USER_MISTAKE, f'error: {message} ({self.prog} --help shows what there is)\n')

    def _check_value(self, action: argparse.Action, value) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            hint = did_you_mean(str(value), choices)
            raise argparse.ArgumentError(action, f'{value!r} is none of {", ".join(choices)}{hint}')


def tool_parser(description: str) -> ToolParser:
    """The parser of a tool, given its docstring; see `ToolParser`."""
    return ToolParser(description)


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``, did you mean X?`` with the nearest known name, or nothing where none is near.

    Args:
        name (str): That is not known.
        known (Iterable[str]): The names that are.
        cutoff (float): How like they have to be, in [0, 1]; smaller where the known names are long. Defaults to 0.6.
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f', did you mean {near[0]}?' if near else ''


def input_file(remedy: str = '') -> Callable[[str], Path]:
    """The ``type`` of an argument that names a file which has to be there.

    Args:
        remedy (str): What makes such a file, or where it is found.
    """
    return lambda text: _existing(text, Path.is_file, 'file', remedy)


def input_folder(remedy: str = '') -> Callable[[str], Path]:
    """The ``type`` of an argument that names a folder which has to be there; see `input_file`."""
    return lambda text: _existing(text, Path.is_dir, 'folder', remedy)


def _existing(text: str, is_right: Callable[[Path], bool], kind: str, remedy: str) -> Path:
    path = Path(text)
    if is_right(path):
        return path
    remedy = f'; {remedy}' if remedy else ''
    if path.exists():
        raise argparse.ArgumentTypeError(f'{path} is no {kind}{remedy}')
    beside = [str(other) for other in path.parent.iterdir() if is_right(other)] if path.parent.is_dir() else []
    raise argparse.ArgumentTypeError(f'{path} does not exist{did_you_mean(str(path), beside) or remedy}')


def check_outputs(*paths: Path | None, overwrite: bool) -> None:
    """Refuse to replace files, and make the folders of new ones.

    Args:
        paths (Path | None): Files that will be written; None where one is not wanted.
        overwrite (bool): Whether earlier files are replaced.

    Raises:
        FileExistsError: If a file is there already and is to stay.
    """
    for path in filter(None, paths):
        if path.exists() and not overwrite:
            raise FileExistsError(f'{path} exists already; --overwrite replaces it, or choose another file')
        path.parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def one_message():
    """Answer a mistake in what the user gave with one message and exit code 2, without a traceback.

    Wrap what checks and builds, never the training itself: an error there is a bug, and its traceback is wanted.
    ULTRAREFINER_DEBUG=1 shows the traceback here too.
    """
    try:
        yield
    except BrokenPipeError:  # An OSError, but no mistake; `run_tool` knows what it means.
        raise
    except (*USER_ERRORS, AttributeError) as error:
        # Of all missing attributes only that of a config is the user's.
        missing_key = isinstance(error, AttributeError)
        if os.environ.get('ULTRAREFINER_DEBUG') == '1' or (missing_key and "'ConfigDict' object" not in str(error)):
            raise
        if missing_key:
            message = f'the config is incomplete, it lacks {str(error).split()[-1]}; files of configs/_base_ are parts'
        elif isinstance(error, OSError) and error.filename and error.strerror:
            message = f'{error.filename}: {error.strerror.lower()}'
        else:  # str() of a KeyError is the repr of its message.
            message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f'error: {message}', file=sys.stderr)
        sys.exit(USER_MISTAKE)


def run_tool(main: Callable[[], int | None], if_interrupted: str = '') -> NoReturn:
    """Run a tool as a program: its exit code is the process's, Ctrl-C and a closed pipe end it without a traceback.

    Args:
        main (Callable[[], int | None]): The tool's; None is exit code 0.
        if_interrupted (str): What the user can do after Ctrl-C, such as 'the same command goes on from here'.
    """
    try:
        try:
            sys.exit(main())
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f'interrupted{f"; {if_interrupted}" if if_interrupted else ""}', file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Python flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OUTPUT_CLOSED)
