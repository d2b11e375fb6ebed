"""Merge converted datasets into one, so that one network is trained on all of them; folds and test sets are united.

Example:
  python tools/dataset_converters/merge.py data/busi data/busbra data/busi_busbra
"""

from pathlib import Path

from rich.console import Console
from rich.progress import track

from ultrarefiner.data_preparation.merge_report import print_report
from ultrarefiner.data_preparation.merging import merge
from ultrarefiner.utils.command_line import input_folder, one_message, run_tool, tool_parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    source = input_folder('give a folder that a tool of tools/dataset_converters wrote')
    parser.add_argument('sources', nargs='+', type=source, metavar='SRC', help='folder that a converter wrote')
    parser.add_argument('destination', type=Path, metavar='DST', help='folder to write')
    parser.add_argument('--name', help="name of the dataset (default: DST's)")
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier conversion in DST')
    options = parser.parse_args(argv)
    progress = Console(stderr=True)
    with one_message():
        report = merge(
            options.sources,
            options.destination,
            options.name,
            options.overwrite,
            lambda jobs, title: track(jobs, title, console=progress),
        )
    console = Console()
    print_report(report, console)
    console.print(f'written to {options.destination}', markup=False)
    return 0


if __name__ == '__main__':
    run_tool(main)
