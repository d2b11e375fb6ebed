"""Run all phases of one or more datasets in order: 1 on every fold, out-of-fold predictions, 2, 3, and the test.

What is done is skipped, and an interrupted training goes on where it stopped, so the same command can be given again.

Example:
  python tools/run_phases.py configs/pipelines/small.py --dataset busi --data-dir data --folds 0
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import DictAction
from rich.console import Console

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, tool_parser
from ultrarefiner.apis.phases import Pipeline
from ultrarefiner.evaluation.per_image_csv import read_means
from ultrarefiner.evaluation.table import comparison_table

TOOLS = Path(__file__).resolve().parent


def parse_args():
    """Read the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='pipeline config: one config a phase')
    parser.add_argument('--dataset', nargs='+', required=True, help='converted datasets; phase 2 pools several')
    parser.add_argument('--folds', nargs='+', type=int, help='folds of phases 2, 3 and test; defaults to all')
    parser.add_argument('--data-dir', default='data', help='folder of the converted datasets')
    parser.add_argument(
        '--out-dir', help='root of checkpoints/ and predictions/; defaults to work_dirs/{config}/{datasets}'
    )
    parser.add_argument('--processes', type=int, default=1, help='processes (GPUs) of each training')
    parser.add_argument('--dry-run', action='store_true', help='print the commands and what is done, and run nothing')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='for every phase')
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    args = parse_args()
    console = Console()
    out_dir = args.out_dir or str(Path('work_dirs') / Path(args.config).stem / '-'.join(args.dataset))
    started = time.time()
    with one_message():
        pipeline = Pipeline(args.config, args.dataset, args.folds, args.data_dir, out_dir, args.cfg_options)
        steps = list(pipeline.steps())
        done = [step.is_done() for step in steps]
    for number, (step, finished) in enumerate(zip(steps, done), start=1):
        console.rule(f'[bold]{number}/{len(steps)}[/] {step.title}' + (' [green](done)[/]' if finished else ''))
        if args.dry_run:
            console.print(shlex.join(step.command(TOOLS, args.processes)), soft_wrap=True, highlight=False)
        if finished or args.dry_run:
            continue
        begin = time.time()
        code = subprocess.run(step.command(TOOLS, args.processes)).returncode
        if code:
            console.print(f'[red]{step.title} failed with exit code {code}[/]; the same command goes on from here')
            sys.exit(code)
        console.print(f'{step.title}: {time.time() - begin:.0f} s')
    if not args.dry_run:
        for step in steps:
            if step.tool == 'test.py':
                means, images = read_means(step.output)
                console.print(f'\n{step.title}\n{comparison_table(means, f"{images} images")}', highlight=False)
        console.print(f'All {len(steps)} steps done in {time.time() - started:.0f} s; everything is in {out_dir}')


if __name__ == '__main__':
    main()
