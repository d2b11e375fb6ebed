"""List every component that a config can name, with its purpose in one line.

Example:
  python tools/misc/list_components.py refiner
"""

from rich.console import Console
from rich.table import Table

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.components import list_components


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('kind', nargs='?', default='', help="only kinds with this in their name, such as 'refiner'")
    parser.add_argument('--package', default='ultrarefiner', help='list those of another package that is importable')
    args = parser.parse_args()
    with one_message():
        if args.package != 'ultrarefiner':
            __import__(args.package)
        components = [part for part in list_components(args.package) if args.kind.lower() in part.kind]
        if not components:
            kinds = dict.fromkeys(part.kind for part in list_components(args.package))
            raise ValueError(f'no kind of component has {args.kind!r} in its name; there are {", ".join(kinds)}')
    table = Table(box=None)
    for title in ('kind', 'type', 'purpose'):
        table.add_column(title, no_wrap=title != 'purpose')
    for part in components:
        table.add_row(part.kind, part.name, part.purpose)
    # A file or a pipe has no width of its own.
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


if __name__ == '__main__':
    run_tool(main)
