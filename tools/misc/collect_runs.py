"""Copy the small files of finished trainings and their tests, so that their results can be kept with the code.

Of each work directory: training.json, the config, the validations, and of every test in tests/{name}/ the results of
each image. No image, mask or weights, and no path of this machine. Where the masks of a test lie beside its results,
it is counted where their errors are. Runs that were collected before are replaced, others stay.

Example:
  python tools/misc/collect_runs.py runs docs/results/runs
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import input_folder, one_message, run_tool, tool_parser
from ultrarefiner.apis.results.collect import collect


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('runs', metavar='RUNS', type=input_folder(), help='folder of work directories, at any depth')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder of the collected files')
    parser.add_argument(
        '--data-dir',
        nargs='+',
        type=input_folder(),
        default=[],
        help='where the converted datasets lie now, if not where the configs say',
    )
    args = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    with one_message():
        found = collect(
            args.runs, args.out, args.data_dir, lambda runs: track(runs, 'collecting', console=Console(stderr=True))
        )
    for run, tests in found.taken.items():
        console.print(f'{run}: {", ".join(tests) or "no test"}', markup=False, soft_wrap=True)
    for path, reason in found.left.items():
        console.print(f'left out {path}: {reason}', markup=False, soft_wrap=True)
    console.print(f'{args.out}: {len(found.taken)} runs, {found.size / 2**20:.2f} MiB', markup=False, soft_wrap=True)


if __name__ == '__main__':
    run_tool(main)
