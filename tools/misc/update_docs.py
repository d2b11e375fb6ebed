"""Bring the generated parts of docs/ up to date: components, tools, and the code that pages show from tested files.

A page shows a file between two comments: one says `from` and the file's path, relative to the root, the other `end`.

Example:
  python tools/misc/update_docs.py
"""

import ast
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
TOOLS = ROOT / 'docs' / 'tools.md'
TOOL_FOLDERS = {
    '': 'Training, testing, predicting',
    'demo': 'Trying it out',
    'analysis_tools': 'Looking into data, models and runs',
    'dataset_converters': 'Data',
    'model_converters': 'Weights',
    'misc': 'Everything else',
}
_TABLE = re.compile(r'(<!-- tools -->\n).*?(<!-- end -->)', flags=re.DOTALL)
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
    wanted[TOOLS] = _TABLE.sub(lambda match: f'{match[1]}\n{tools_table()}{match[2]}', TOOLS.read_text())
    return {**wanted, COMPONENTS: HEADER + markdown_table(list_components())}


def tools_table() -> str:
    """A Markdown table for each folder of tools/; what a tool is for is the first line of its docstring."""
    lines = []
    for folder, title in TOOL_FOLDERS.items():
        lines += [f'## {title}', '', '| tool | what for |', '|---|---|']
        for path in sorted((ROOT / 'tools' / folder).glob('*.py')):
            purpose = (ast.get_docstring(ast.parse(path.read_text())) or '').partition('\n')[0]
            link = path.relative_to(ROOT).as_posix()
            lines.append(f'| [`{link}`](../{link}) | {purpose} |')
        lines.append('')
    return '\n'.join(lines)


def _show(match: re.Match) -> str:
    start, name, end = match.groups()
    path = ROOT / name
    if not path.is_file():
        raise FileNotFoundError(f'a page of docs/ shows {name}, which does not exist')
    return f'{start}```python\n{path.read_text().rstrip()}\n```\n{end}'


if __name__ == '__main__':
    run_tool(main)
