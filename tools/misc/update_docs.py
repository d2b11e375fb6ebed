"""Bring the generated parts of docs/ up to date: the components page, and the code that pages show from tested files.

A page shows a file between two comments: one says `from` and the file's path, relative to the root, the other `end`.

Example:
  python tools/misc/update_docs.py
"""

import re
from pathlib import Path

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.components import list_components, markdown_table

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / 'docs' / 'components.md'
HEADER = """# Components

Everything of this package that a config can name with `type=`, beside what mmsegmentation, mmcv and mmengine register.
`tools/misc/list_components.py` shows it in a terminal; `tools/misc/update_docs.py` makes this page.

"""
_SHOWN = re.compile(r'(<!-- from (\S+) -->\n).*?(<!-- end -->)', flags=re.DOTALL)


def main() -> None:
    """Entry point."""
    tool_parser(__doc__).parse_args()
    with one_message():
        for page, text in pages().items():
            if not page.is_file() or page.read_text() != text:
                page.write_text(text)
                print(f'updated {page.relative_to(ROOT)}')


def pages() -> dict[Path, str]:
    """What each page of docs/ should hold."""
    wanted = {page: _SHOWN.sub(_show, page.read_text()) for page in sorted((ROOT / 'docs').glob('*.md'))}
    return {**wanted, COMPONENTS: HEADER + markdown_table(list_components())}


def _show(match: re.Match) -> str:
    start, name, end = match.groups()
    path = ROOT / name
    if not path.is_file():
        raise FileNotFoundError(f'a page of docs/ shows {name}, which does not exist')
    return f'{start}```python\n{path.read_text().rstrip()}\n```\n{end}'


if __name__ == '__main__':
    run_tool(main)
