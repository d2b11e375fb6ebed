"""Draw the learning curves of one or more trainings, and say which epoch was best and what an iteration cost.

Reads what a training logs in its work directory, {start}/vis_data/scalars.json; the parts of one that was resumed are
joined. One training shows each of its losses and all stages; several are laid over one another, a panel a value. A star
marks the best validation.

Example:
  python tools/analysis_tools/analyze_logs.py checkpoints/ultrarefiner/busi/fold_0 --out curves.png
  python tools/analysis_tools/analyze_logs.py checkpoints/transunet/busi/fold_* --keys loss coarse/Dice --out folds.png
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ultrarefiner.apis.cli import check_outputs, did_you_mean, input_folder, one_message, run_tool, tool_parser
from ultrarefiner.apis.training_record import read_record
from ultrarefiner.evaluation.training_log import (
    COSTS,
    INDEX,
    LEARNING_RATE,
    best_row,
    default_metric,
    loss_keys,
    metric_keys,
    read_training_log,
)
from ultrarefiner.utils.short_names import short_names
from ultrarefiner.visualization.learning_curves import Curve, CurvePanel, draw_learning_curves

SHOWN = ('loss', LEARNING_RATE, 'coarse/Dice', 'refined/Dice', 'delta/Dice')


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    folder = input_folder('give the work directory of a training')
    parser.add_argument(
        'work_dirs', type=folder, nargs='+', metavar='WORK_DIR', help='of a training; several to compare'
    )
    parser.add_argument('--keys', nargs='+', metavar='KEY', help='what to draw, a panel each; a * stands for anything')
    parser.add_argument('--out', type=Path, help='picture to write (default: curves.png in the first WORK_DIR)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers of the table here as well')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier files')
    args = parser.parse_args(argv)
    with one_message():
        logs = {name: read_training_log(path) for name, path in zip(short_names(args.work_dirs), args.work_dirs)}
        panels = panels_of(logs, args.keys)
        out = args.out or args.work_dirs[0] / 'curves.png'
        check_outputs(out, args.json, overwrite=args.overwrite)
        draw_learning_curves(out, panels)
        rows = {name: summary(log, path) for (name, log), path in zip(logs.items(), args.work_dirs)}
        if args.json is not None:
            args.json.write_text(json.dumps(rows, indent=1) + '\n')
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(summary_table(rows))
    console.print(f'curves written to {out}', markup=False, highlight=False)


def panels_of(logs: dict[str, pd.DataFrame], keys: Sequence[str] | None) -> list[CurvePanel]:
    """The panels of the picture.

    Args:
        logs (dict[str, pd.DataFrame]): From `read_training_log`, by the name of the run.
        keys (Sequence[str], optional): Of the values wanted; None shows what matters.

    Raises:
        ValueError: If no run has such a value.
    """
    known = list(dict.fromkeys(key for log in logs.values() for key in log if key not in INDEX))
    if keys is None and len(logs) == 1:
        return panels_of_one(*logs.values())
    wanted = matching(keys, known) if keys else [key for key in SHOWN if key in known]
    panels = []
    for key in wanted:
        curves = [curve(log, key, name) for name, log in logs.items() if key in log]
        panels.append(CurvePanel(key, curves, 0.0 if key.startswith('delta/') else None))
    return panels


def panels_of_one(log: pd.DataFrame) -> list[CurvePanel]:
    """Of one run: its losses, the learning rate, the Dice of all stages and what refining changed."""
    panels = [CurvePanel('losses', [curve(log, key, key) for key in loss_keys(log)])]
    if LEARNING_RATE in log:
        panels.append(CurvePanel('learning rate', [curve(log, LEARNING_RATE, LEARNING_RATE)]))
    stages = metric_keys(log).get('Dice', [])
    measured = [name for name in stages if not name.startswith('delta/')]
    if measured:
        panels.append(CurvePanel('Dice (star: best)', [curve(log, name, name.partition('/')[0]) for name in measured]))
    if 'delta/Dice' in stages:
        panels.append(CurvePanel('Dice, refined minus coarse', [curve(log, 'delta/Dice', 'delta')], 0.0))
    return panels


def matching(patterns: Sequence[str], known: Sequence[str]) -> list[str]:
    """The values that the patterns name, in the order given.

    Raises:
        ValueError: If one names none.
    """
    found = []
    for pattern in patterns:
        names = [name for name in known if fnmatchcase(name, pattern)]
        if not names:
            raise ValueError(
                f'--keys {pattern}: not logged{did_you_mean(pattern, known)}; there are {", ".join(known)}'
            )
        found += names
    return list(dict.fromkeys(found))


def curve(log: pd.DataFrame, key: str, name: str) -> Curve:
    """One value over the training; time and memory are those of the training's iterations."""
    rows = log[log['kind'] == 'train'] if key in COSTS else log
    rows = rows[rows[key].notna()]
    best = best_row(rows, key) if '/' in key else None
    return Curve(name, rows['iter'], rows[key], None if best is None else best['iter'])


def summary(log: pd.DataFrame, work_dir: Path) -> dict:
    """What the table says on one run: plain numbers, None where something is not known."""
    train = log[log['kind'] == 'train']
    key = default_metric(log)
    best = best_row(log)
    record = read_record(work_dir) or {}
    memory = train['memory'].max() if 'memory' in train else None
    if memory is None and record.get('cost'):
        memory = record['cost']['peak_memory'] / 2**20
    made = dict(
        work_dir=str(work_dir),
        finished=record.get('finished'),
        epochs=int(log['epoch'].max()) if 'epoch' in log else None,
        iterations=int(log['iter'].max()),
        loss=float(train['loss'].iloc[-1]) if len(train) and 'loss' in train else None,
        best_by=key,
        best_epoch=None if best is None else int(best['epoch' if 'epoch' in log else 'iter']),
        seconds_per_iteration=float(train['time'].median()) if 'time' in train else None,
        memory_mib=None if memory is None else float(memory),
    )
    at_best = {} if best is None else best.dropna().to_dict()
    return made | {name: float(value) for name, value in at_best.items() if name in SHOWN and '/' in name}


def summary_table(rows: dict[str, dict]) -> Table:
    """A row a run."""
    table = Table('run', title='the best validation of each training')
    scores = [key for key in SHOWN if '/' in key and any(key in row for row in rows.values())]
    for heading in ('epochs', 'iterations', 'loss', 'best epoch', *scores, 's / iteration', 'memory MiB'):
        table.add_column(heading, justify='right')
    for name, row in rows.items():
        ended = name if row['finished'] in (True, None) else f'{name} (not finished)'
        cells = [row['epochs'], row['iterations'], row['loss'], row['best_epoch'], *(row.get(key) for key in scores)]
        table.add_row(ended, *map(_cell, cells), _cell(row['seconds_per_iteration']), _cell(row['memory_mib'], 0))
    return table


def _cell(value: float | None, digits: int = 4) -> str:
    return '' if value is None else str(value) if isinstance(value, int) else f'{value:,.{digits}f}'


if __name__ == '__main__':
    run_tool(main)
