"""Check converted datasets: every file opened, every mask value, size and name checked; exit code 1 if any is wrong.

Example:
  python tools/misc/verify_dataset.py data/busi data/busbra
"""

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ultrarefiner.data_preparation.verification import verify
from ultrarefiner.utils.command_line import FAULT_FOUND, input_folder, run_tool, tool_parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    root = input_folder('give a folder that a tool of tools/dataset_converters wrote')
    parser.add_argument('roots', nargs='+', type=root, metavar='ROOT', help='folder that a converter wrote')
    options = parser.parse_args(argv)
    progress = Console(stderr=True)
    table = Table('dataset', 'where', 'what is wrong')
    for root in options.roots:
        for finding in verify(root, lambda rows, root=root: track(rows, f'checking {root.name}', console=progress)):
            table.add_row(str(root), finding.where, finding.what)
    console = Console()
    if table.row_count:
        console.print(table, markup=False)
        console.print(f'{table.row_count} faults; convert again, or restore the files.')
        return FAULT_FOUND
    console.print(f'nothing wrong in {", ".join(map(str, options.roots))}', markup=False)
    return 0


if __name__ == '__main__':
    run_tool(main)
