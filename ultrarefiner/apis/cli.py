"""What the command-line tools share: arguments, and one clear message for a user's mistake."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from mmengine.config import DictAction

from ..utils.command_line import (
    USER_ERRORS,
    check_outputs,
    did_you_mean,
    input_file,
    input_folder,
    one_message,
    run_tool,
    tool_parser,
)

__all__ = [
    'CACHE_FOLDER',
    'OptionAction',
    'add_cache_argument',
    'add_config_arguments',
    'add_run_arguments',
    'check_outputs',
    'did_you_mean',
    'input_file',
    'input_folder',
    'one_message',
    'output_held',
    'run_options',
    'run_tool',
    'tool_parser',
]
CACHE_FOLDER = 'model.embedding_cache.folder'


class OptionAction(DictAction):
    """mmengine's reading of KEY=VALUE, with a word on what it cannot read."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Read the options of one argument."""
        for text in values:
            key, _, value = text.partition('=')
            if not value or value.lstrip().startswith(('dict(', '{')):
                parser.error(
                    f'{text}: expected KEY=VALUE, and a dict only entry by entry, such as {key}.type=NAME; or write it '
                    'in a config of your own that has this one as its _base_'
                )
        super().__call__(parser, namespace, values, option_string)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a tool that trains or tests one fold."""
    add_config_arguments(parser)
    parser.add_argument('--work-dir', help="where logs and checkpoints go; defaults to the config's own")
    add_cache_argument(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run; tools/dist_*.sh and slurm_*.sh set it',
    )
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
def output_held() -> Iterator[None]:
    """Hold back what is written while a run is built, its environment and its whole config, if it ends in a mistake.

    Goes inside of `one_message`, whose message is then all there is to read. Without a mistake everything is written at
    the end, and what writes to standard output later, such as mmengine's log, is not held.
    """
    held = _HeldStream(sys.stdout)
    sys.stdout = held
    try:
        yield
    except USER_ERRORS:
        if os.environ.get('ULTRAREFINER_DEBUG') == '1':
            held.release()
        raise
    except BaseException:
        held.release()
        raise
    else:
        held.release()
    finally:
        sys.stdout = held.stream


class _HeldStream:
    """Standard output that keeps what is written until it is released; a log handler may hold on to it."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self._kept: list[str] | None = []

    def write(self, text: str) -> int:
        if self._kept is None:
            return self.stream.write(text)
        self._kept.append(text)
        return len(text)

    def release(self) -> None:
        kept, self._kept = self._kept, None
        for text in kept or ():
            self.stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)
