r"""Train and evaluate a grid of configs, and write one table of what each cell gives and costs.

An axis of the grid is one of the presets (configs/ablation/presets.py: prompts, refiner, lora, ...), whose values may
be joined by a plus, or any key of the config with values as --cfg-options takes them. What is done is skipped and an
interrupted training goes on, so the same command can be given again, with more values, folds or seeds too.

Example:
  python tools/ablate.py configs/ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py \
      --grid prompts=point,box,mask,point+box+mask --grid refiner=sam-small \
      --data-dir work_dirs/demo/phantom-240/data --out-dir work_dirs/demo/phantom-240 --work-dir work_dirs/ablation
"""

import shlex
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.ablation import SUBSETS, Ablation
from ultrarefiner.apis.ablation_grid import find_cell, parse_grid
from ultrarefiner.apis.cli import CACHE_FOLDER, OptionAction, add_cache_argument, one_message, run_tool, tool_parser
from ultrarefiner.apis.mixed_precision import add_amp_argument, training_options
from ultrarefiner.apis.presets import Presets
from ultrarefiner.apis.step_runner import StepRunner
from ultrarefiner.evaluation.ablation_markdown import COST_HEADS, ablation_markdown, summary
from ultrarefiner.evaluation.ablation_table import ablation_table
from ultrarefiner.visualization.forest_plot import Panel, draw_forest_plot

TOOLS = Path(__file__).resolve().parent
PRESETS = TOOLS.parent / 'configs' / 'ablation' / 'presets.py'


def parse_args():
    """Read the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='any config that tools/train.py takes')
    parser.add_argument(
        '--grid',
        nargs='+',
        action='extend',
        required=True,
        metavar='NAME=VALUE,VALUE,...',
        help='an axis: of the presets, or a key of the config; give several for all combinations',
    )
    parser.add_argument('--presets', nargs='+', default=[], help='files with further presets')
    parser.add_argument('--base', help='the cell that the others are compared with, such as prompts=mask; the first')
    parser.add_argument('--folds', nargs='+', type=int, help="defaults to the config's own")
    parser.add_argument('--seeds', nargs='+', type=int, help="defaults to the config's own")
    parser.add_argument(
        '--subset', choices=SUBSETS, default='val', help='images to evaluate on; choose by the validation images'
    )
    parser.add_argument('--dataset', nargs='+', help='converted datasets in the data folder; several are pooled')
    parser.add_argument('--data-dir', help="folder of the converted datasets; defaults to the config's")
    parser.add_argument('--out-dir', help="root of the earlier phases' checkpoints/ and predictions/")
    parser.add_argument('--work-dir', help='where everything goes; defaults to work_dirs/ablation/{config}')
    parser.add_argument('--jobs', type=int, default=1, help='runs at once, each on a GPU or a share of the cores')
    parser.add_argument('--processes', type=int, default=1, help='processes (GPUs) of each training')
    add_amp_argument(parser, 'train')
    add_cache_argument(parser)
    parser.add_argument('--dry-run', action='store_true', help='print the commands and what is done, and run nothing')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help='further options, for every cell'
    )
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    args = parse_args()
    console, started = Console(), time.time()
    options = dict(args.cfg_options or {})
    options.update({name: getattr(args, name) for name in ('dataset', 'data_dir', 'out_dir') if getattr(args, name)})
    if args.embedding_cache is not None:
        options[CACHE_FOLDER] = args.embedding_cache
    work_dir = Path(args.work_dir or Path('work_dirs') / 'ablation' / Path(args.config).stem)
    with one_message():
        options.update(training_options(args.amp, args.config))
        presets = Presets([PRESETS, *args.presets])
        ablation = Ablation(
            args.config, parse_grid(args.grid), presets, work_dir, args.folds, args.seeds, args.subset, options
        )
        base = find_cell(ablation.cells, args.base)
        plan = ablation.plan()
        runner = StepRunner(TOOLS, work_dir / 'logs', args.jobs, args.processes, console)
        if not args.dry_run:
            ablation.write_configs()
    waiting = [(run, steps) for run, steps in plan if steps]
    console.print(f'{len(ablation.cells)} cells, {len(plan)} runs, {len(waiting)} of them to do: {work_dir}')
    if args.dry_run:
        for run, steps in plan:
            for step in (run.training, run.evaluation):
                console.print(f'{"waiting" if step in steps else "done   "}  {step.title}', highlight=False)
                console.print(shlex.join(step.command(TOOLS, args.processes)), soft_wrap=True, highlight=False)
        return
    failures = {}
    left = Counter(run.cell for run, _ in waiting)
    for number, failure in runner.run_chains(steps for _, steps in waiting):
        run = waiting[number][0]
        if failure is not None:
            failures[run] = failure.reason
        left[run.cell] -= 1
        if not left[run.cell] and left.total():
            write_results(ablation, base.label, failures)
            console.print(f'{left.total()} of {len(waiting)} runs are left; so far: {work_dir}/ablation.md')
    table = write_results(ablation, base.label, failures)
    # A log file has no width of its own, and a table cut to 80 characters says nothing.
    wide = console if console.is_terminal else Console(width=200)
    wide.print(terminal_table(table, base.label))
    console.print(f'{work_dir}/ablation.md, .csv and .png, in {time.time() - started:.0f} s')
    if failures:
        console.print(f'{len(failures)} of {len(plan)} runs failed; the same command tries them again')
        sys.exit(1)


def write_results(ablation: Ablation, base: str, failures: dict) -> pd.DataFrame:
    """Write what there is so far: the table as Markdown and CSV, and its picture."""
    results = [ablation.result(cell, failures) for cell in ablation.cells]
    table = ablation_table(results, base, ablation.groups())
    images = 'validation images of each fold' if ablation.subset == 'val' else 'test images'
    facts = [
        f'Config: `{ablation.source}`',
        f'Folds {ablation.folds}, seeds {ablation.seeds}; evaluated on the {images}.',
        'Intervals: 95 %, bootstrap (BCa) over groups of images (patients, near-duplicates), pooled over folds; seeds '
        'are averaged for each image first.',
        'p: paired permutation test against the base, signs flipped by group; Holm: adjusted for all rows together.',
        'Training time is that of the iterations, without validation; memory is that of the training process.',
    ]
    kept = {path.name for path in (ablation.work_dir / 'cells').iterdir()} - {cell.folder for cell in ablation.cells}
    if kept:
        facts.append(f'In `cells/` are {len(kept)} more, of earlier calls with other grids: {", ".join(sorted(kept))}')
    table.to_csv(ablation.work_dir / 'ablation.csv', index=False)
    markdown = ablation_markdown(table, f'Ablation of {Path(ablation.source).stem}', base, facts)
    (ablation.work_dir / 'ablation.md').write_text(markdown)
    notes = table['status'].where(table['cell'] != base, 'base')
    draw_forest_plot(ablation.work_dir / 'ablation.png', table['cell'], panels(table, base), notes)
    return table


def panels(table: pd.DataFrame, base: str) -> list[Panel]:
    """What the picture shows: the metric that is compared, what refining changed, and the difference to the base."""
    compared = table['compared'].iloc[0]
    stage, metric = compared.split('/')
    of_base = table.loc[table['cell'] == base, compared].iloc[0] if compared in table else None
    shown = [(f'{stage.capitalize()} {metric} (dashed: base)', compared, of_base)]
    if f'delta/{metric}' in table:
        shown.append((f'Refined minus coarse {metric}', f'delta/{metric}', 0.0))
    shown.append((f'{stage.capitalize()} {metric} minus base', 'difference', 0.0))
    return [
        Panel(title, table[column], table[f'{column}.low'], table[f'{column}.high'], reference)
        for title, column, reference in shown
        if column in table
    ]


def terminal_table(table: pd.DataFrame, base: str) -> Table:
    """The first table of the Markdown file without the costs, for a terminal."""
    heads, body = summary(table, base)
    drawn = Table(box=None, padding=(0, 1))
    kept = [number for number, head in enumerate(heads) if head not in COST_HEADS]
    for number in kept:
        drawn.add_column(heads[number], justify='right' if number else 'left', no_wrap=not number)
    for row in body:
        drawn.add_row(*(row[number] for number in kept))
    return drawn


if __name__ == '__main__':
    run_tool(main, 'the same command goes on from here')
