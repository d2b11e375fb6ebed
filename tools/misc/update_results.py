"""Bring docs/results.md and the results of the config families up to date with the collected runs.

The page is docs/results/template.md with its markers filled: tables, pictures, and numbers in sentences. The tables of
configs/*/README.md stand between two comments, the results of configs/*/metafile.yml are those of collected configs.
--check writes nothing and answers with exit code 1 where a page says something else than the runs do.

Example:
  python tools/misc/update_results.py
  python tools/misc/update_results.py --check
"""

from __future__ import annotations

from pathlib import Path

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import input_folder, one_message, run_tool, tool_parser
from ultrarefiner.apis.results.update import PAGE, outdated, pages, results_of
from ultrarefiner.utils.command_line import FAULT_FOUND

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = tool_parser(__doc__)
    parser.add_argument('--check', action='store_true', help='only say which pages are out of date')
    parser.add_argument('--root', type=input_folder(), default=ROOT, help='of the checkout; defaults to this one')
    args = parser.parse_args(argv)
    with one_message():
        results = results_of(args.root)
        wanted = pages(args.root, results)
        stale = outdated(wanted)
        if not args.check:
            for page in stale:
                page.write_text(wanted[page], encoding='utf-8')
            for picture in results.draw_figures(wanted[args.root / PAGE]):
                print(f'drew {picture.relative_to(args.root)}')
    for page in stale:
        print(f'{"out of date" if args.check else "updated"}: {page.relative_to(args.root)}')
    return FAULT_FOUND if args.check and stale else 0


if __name__ == '__main__':
    run_tool(main)
