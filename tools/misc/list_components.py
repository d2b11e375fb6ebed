"""List the components that a config can name, by kind or name, or show the arguments of one.

Example:
  python tools/misc/list_components.py
  python tools/misc/list_components.py refiner
  python tools/misc/list_components.py '*Box'
  python tools/misc/list_components.py SAMRefiner
"""

import inspect

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.components import Component, config_text, find_component, matching_components


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        'what',
        nargs='?',
        default='',
        help="part of a kind, such as 'refiner', part of a name or a pattern of it; a whole name shows its arguments",
    )
    parser.add_argument('--package', default='ultrarefiner', help='list those of another package that is importable')
    args = parser.parse_args()
    # A file or a pipe has no width of its own.
    console = Console() if Console().is_terminal else Console(width=200)
    with one_message():
        if args.package != 'ultrarefiner':
            __import__(args.package)
        cls = find_component(args.what) if args.what.isidentifier() else None
        components = [] if cls else matching_components(args.what, args.package)
    if cls:
        show_component(cls, console)
    else:
        console.print(component_table(components))


def component_table(components: list[Component]) -> Table:
    """A row a component."""
    table = Table(box=None)
    for title in ('kind', 'type', 'purpose'):
        table.add_column(title, no_wrap=title != 'purpose')
    for part in components:
        table.add_row(part.kind, part.name, part.purpose)
    return table


def show_component(cls: type, console: Console) -> None:
    """How a config names it, and what its docstring says."""
    console.print(f'{cls.__module__}.{cls.__name__}\n', highlight=False, markup=False)
    console.print(Syntax(config_text(cls), 'python', background_color='default'))
    console.print(f'\n{inspect.getdoc(cls)}', highlight=False, markup=False)


if __name__ == '__main__':
    run_tool(main)
