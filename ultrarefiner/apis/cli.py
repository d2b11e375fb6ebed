"""What the command-line tools share: arguments, and one clear message for a user's mistake."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from mmengine.config import DictAction

CACHE_FOLDER = 'model.embedding_cache.folder'
USER_ERRORS = (AssertionError, ImportError, KeyError, OSError, RuntimeError, SyntaxError, TypeError, ValueError)


class OptionAction(DictAction):
    """mmengine's reading of KEY=VALUE, with a word on what it cannot read."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Read the options of one argument."""
        for text in values:
            key, _, value = text.partition('=')
            if not value or value.lstrip().startswith(('dict(', '{')):
                parser.error(
                    f'{text}: expected KEY=VALUE, and a dict only entry by entry, such as {key}.type=NAME; or write it '
                    'in a config of your own that has this one as its _base_'
                )
        super().__call__(parser, namespace, values, option_string)


def tool_parser(description: str) -> argparse.ArgumentParser:
    """A parser whose help shows the tool's docstring: what it does, and an example that works."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a tool that trains or tests one fold."""
    add_config_arguments(parser)
    parser.add_argument('--work-dir', help="where logs and checkpoints go; defaults to the config's own")
    add_cache_argument(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun sets the environment; the deprecated torch.distributed.launch passes this flag instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_cache_argument(parser: argparse.ArgumentParser) -> None:
    """Add the shortcut for the config's ``model.embedding_cache.folder``."""
    parser.add_argument(
        '--embedding-cache',
        metavar='FOLDER',
        help='where the embeddings of the frozen image encoder are kept and found (model.embedding_cache.folder)',
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every tool that reads a config."""
    parser.add_argument('--fold', type=int, help='fold of the cross-validation, from 0')
    parser.add_argument(
        '--dataset', nargs='+', help='name of the converted dataset in the data folder; several are pooled'
    )
    parser.add_argument('--data-dir', help="folder of the converted datasets; defaults to the config's")
    parser.add_argument('--out-dir', help="root of checkpoints/ and predictions/; defaults to the config's")
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='override any key of the config: model.refiner.arch=vit_l, or a.b=[1,2] or a.b=1,2',
    )


def run_options(args: argparse.Namespace) -> dict:
    """The config options that the arguments of `add_run_arguments` or `add_config_arguments` stand for."""
    if 'local_rank' in args:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    options = dict(args.cfg_options or {})
    for name in ('work_dir', 'fold', 'dataset', 'data_dir', 'out_dir'):
        if getattr(args, name, None) is not None:
            options[name] = getattr(args, name)
    if getattr(args, 'embedding_cache', None) is not None:
        options[CACHE_FOLDER] = args.embedding_cache
    if args.seed is not None:
        options['randomness.seed'] = args.seed
    return options


@contextlib.contextmanager
def one_message():
    """Answer a mistake in what the user gave with one message and exit code 2, without a traceback.

    Wrap what checks and builds, never the training itself: an error there is a bug, and its traceback is wanted.
    ULTRAREFINER_DEBUG=1 shows the traceback here too.
    """
    try:
        yield
    except USER_ERRORS as error:
        if os.environ.get('ULTRAREFINER_DEBUG') == '1':
            raise
        # str() of a KeyError is the repr of its message.
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)


@contextlib.contextmanager
def resumable():
    """Answer Ctrl-C in a tool that goes on where it stopped with one line and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print('interrupted; the same command goes on from here', file=sys.stderr)
        sys.exit(130)
