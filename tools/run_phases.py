"""Run all phases of one or more datasets in order: 1 on every fold, out-of-fold predictions, 2, 3, and the test.

What is done is skipped, and an interrupted training goes on where it stopped, so the same command can be given again.

Example:
  python tools/run_phases.py configs/pipelines/small.py --dataset busi --data-dir data --folds 0
"""

import shlex
import sys
import time
from pathlib import Path

from rich.console import Console

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import CACHE_FOLDER, OptionAction, add_cache_argument, one_message, run_tool, tool_parser
from ultrarefiner.apis.mixed_precision import add_amp_argument, training_options
from ultrarefiner.apis.phases import Pipeline
from ultrarefiner.apis.step_runner import StepFailed, StepRunner
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
    parser.add_argument(
        '--jobs', type=int, default=1, help='folds that run at once, each on a GPU or a share of the cores'
    )
    parser.add_argument('--processes', type=int, default=1, help='processes (GPUs) of each training')
    add_amp_argument(parser, 'train every phase')
    add_cache_argument(parser)
    parser.add_argument('--dry-run', action='store_true', help='print the commands and what is done, and run nothing')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='for every phase; for one where KEY begins with coarse., refine. or joint.',
    )
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    args = parse_args()
    console = Console()
    out_dir = Path(args.out_dir or Path('work_dirs') / Path(args.config).stem / '-'.join(args.dataset))
    started = time.time()
    with one_message():
        pipeline = Pipeline(args.config, args.dataset, args.folds, args.data_dir, str(out_dir), args.cfg_options)
        pipeline.options.update(training_options(args.amp, *pipeline.configs.values()))
        if args.embedding_cache is not None:
            pipeline.options.update({f'{phase}.{CACHE_FOLDER}': args.embedding_cache for phase in ('refine', 'joint')})
        plan = pipeline.plan()
        runner = StepRunner(TOOLS, out_dir / 'logs', args.jobs, args.processes, console)
    for step, done in plan:
        console.print(f'{"done   " if done else "waiting"}  {step.title}', highlight=False)
        if args.dry_run:
            console.print(shlex.join(step.command(TOOLS, args.processes)), soft_wrap=True, highlight=False)
    if args.dry_run:
        return
    try:
        waiting = [step for step, done in plan if not done]
        runner.run(waiting)
    except StepFailed as failure:
        console.print(failure, markup=False, highlight=False)
        console.print('The same command goes on from here.')
        sys.exit(1)
    for step, _ in plan:
        if step.tool == 'test.py':
            means, images = read_means(step.output.with_suffix('.csv'))
            console.print(f'\n{step.title}\n{comparison_table(means, f"{images} images")}', highlight=False)
    console.print(f'{len(plan)} steps, {len(waiting)} of them run now, in {time.time() - started:.0f} s: {out_dir}')


if __name__ == '__main__':
    run_tool(main, 'the same command goes on from here')
