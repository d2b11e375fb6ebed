"""What the converters' command lines have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from ..utils.command_line import USER_MISTAKE, tool_parser
from .conversion import SplitOptions, convert
from .converters.base import BaseConverter
from .errors import DatasetError
from .mask_rules import MaskRule, MaskThreshold
from .report import print_report


def make_parser(description: str) -> argparse.ArgumentParser:
    """The options of every converter."""
    defaults = SplitOptions()
    parser = tool_parser(description)
    parser.add_argument('source', type=Path, metavar='SRC', help='folder or .zip file as downloaded')
    parser.add_argument('destination', type=Path, metavar='DST', help='folder to write')
    parser.add_argument(
        '--protocol',
        choices=('grouped', 'method'),
        default=defaults.protocol,
        help="grouped: patients or near-duplicates stay on one side; method: the method's plain random split, which "
        'leaks (default: grouped)',
    )
    parser.add_argument('--seed', type=int, default=defaults.seed, help=f'default: {defaults.seed}')
    parser.add_argument('--folds', type=int, default=defaults.n_folds, help=f'default: {defaults.n_folds}')
    parser.add_argument('--test-fraction', type=float, default=defaults.test_fraction, help='default: 0.2')
    parser.add_argument('--mask-threshold', type=int, metavar='LEVEL', help='lesion is brighter than LEVEL (0..254)')
    parser.add_argument('--leave-out-faulty', action='store_true', help='leave faulty files out and list them')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier conversion in DST')
    return parser


def run(
    parser: argparse.ArgumentParser,
    make_converter: Callable[[argparse.Namespace, MaskRule | None], BaseConverter],
    argv: Sequence[str] | None = None,
) -> int:
    """Convert as the command line says.

    Args:
        parser (argparse.ArgumentParser): From `make_parser`.
        make_converter (Callable): Given the parsed options and the mask rule asked for, if any, the converter.
        argv (Sequence[str], optional): The command line. Defaults to the program's.

    Returns:
        int: Exit code; 2 if the user's files need mending, with one message on standard error.
    """
    options = parser.parse_args(argv)
    try:
        rule = None if options.mask_threshold is None else MaskThreshold(options.mask_threshold)
        converter = make_converter(options, rule)
        split = SplitOptions(options.protocol, options.seed, options.folds, options.test_fraction)
        report = convert(
            converter,
            options.source,
            options.destination,
            split,
            options.overwrite,
            options.leave_out_faulty,
            Console(stderr=True),
        )
    except DatasetError as error:
        print(f'error: {error}', file=sys.stderr)
        return USER_MISTAKE
    console = Console()
    print_report(report, console)
    console.print(f'written to {options.destination}', markup=False)
    return 0


def main(description: str, converter: type[BaseConverter], argv: Sequence[str] | None = None) -> int:
    """The whole command line of a converter without options of its own."""
    return run(make_parser(description), lambda _, rule: converter(rule), argv)
