"""What each error type of the mask corruption does, measured on reference lesions at several image sizes.

Each number is the mean over four lesions, three severities and a few draws. Errors are in units of the lesion's own
size, so a row should read the same at every image size.

Example:
  python tools/analysis_tools/corruption_table.py --sizes 128 256 512
"""

from __future__ import annotations

import sys

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ultrarefiner.corruption import ERROR_TYPES, UnreachableError, measure
from ultrarefiner.corruption.reference_lesions import reference_lesions
from ultrarefiner.utils.command_line import run_tool, tool_parser

SEVERITIES = (0.1, 0.5, 0.9)
SHOWN = dict(area_ratio='area ratio', dice='Dice', components='components', holes='holes')


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('--sizes', type=int, nargs='+', default=[128, 256, 512], help='image sizes in pixels')
    parser.add_argument('--draws', type=int, default=6, help='random draws for each lesion and severity (default: 6)')
    options = parser.parse_args(argv)
    if min(options.sizes) < 32 or options.draws < 1:
        parser.error('--sizes takes 32 or more, --draws 1 or more')
    table = Table('error type', *(f'{title}\n{size} px' for title in SHOWN.values() for size in options.sizes))
    for column in table.columns[1:]:
        column.justify = 'right'
    for error in track(list(ERROR_TYPES), 'measuring', console=Console(stderr=True)):
        means = [mean_effect(error, size, options.draws) for size in options.sizes]
        table.add_row(error, *(f'{mean[name]:.2f}' for name in SHOWN for mean in means))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    return 0


def mean_effect(error: str, size: int, draws: int) -> dict[str, float]:
    """The mean of each of `SHOWN` over lesions, severities and draws, where the error type is possible."""
    rows = []
    for truth in reference_lesions(size).values():
        for severity in SEVERITIES:
            for seed in range(draws):
                try:
                    wrong = ERROR_TYPES[error](truth, severity, np.random.default_rng(seed))
                except UnreachableError:
                    continue
                rows.append(measure(wrong.astype(float), truth))
    return {name: float(np.mean([row[name] for row in rows])) for name in SHOWN}


if __name__ == '__main__':
    run_tool(main)
