r"""Time the toolkit against the public implementations, in turns, or the stages of a model of your own.

Each section holds what came out against equality gates, and says which goals were reached. It runs once for each
precision and each setting of the memory allocator, in a process of its own, as the setting is read when a process
starts: 'default' is the C library's own, 'tuned' keeps freed memory. Exit code 1 tells that a gate failed or a section
broke; a goal that was not reached is no failure.

Example:
  python tools/analysis_tools/benchmark.py encoder decoder --rounds 3 --json benchmark.json
  python tools/analysis_tools/benchmark.py all --device cuda --precision bf16
  python tools/analysis_tools/benchmark.py stages --model checkpoints/ultrarefiner/busi/fold_0/best.pth
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from itertools import product
from pathlib import Path

import torch
from benchmarks.harness import Options
from benchmarks.machine import describe, matmul_peaks
from benchmarks.report import Run, show
from rich.console import Console

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import check_outputs, one_message, run_tool, tool_parser
from ultrarefiner.apis.model_config import read_model_config

SECTIONS = ('encoder', 'lora', 'decoder', 'phase2', 'phase3', 'transunet', 'cache', 'inference', 'stages', 'pipeline')
TUNED = dict(MALLOC_MMAP_MAX_='0', MALLOC_TRIM_THRESHOLD_='64000000000', MALLOC_TOP_PAD_='268435456')
FORMAT = 'ultrarefiner benchmark, 1'


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    args = parse(argv)
    if args.worker is not None:
        section, options = args.sections[0], Options(**json.loads(args.worker_options))
        args.worker.write_text(json.dumps(measure(section, options).to_json()))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 180)
    runs, broken = [], []
    for section, options in plan(args):
        console.print(f'{section}, {options.precision}, {options.allocator} allocator ...', highlight=False)
        run = measure_apart(section, options)
        if run is None:
            broken.append(f'{section}, {options.precision}, {options.allocator} allocator')
        else:
            runs.append(run)
        if args.json is not None:  # after each run, so that an interrupted benchmark leaves what it has
            save(runs, args.json)
    show(runs, console)
    failed = [f'{run.section}: {gate.name}' for run in runs for gate in run.result.gates if not gate.passed]
    for what, names in (('not equal', failed), ('broke', broken)):
        for name in names:
            console.print(f'[bold red]{what}[/]: {name}')
    return 1 if failed or broken else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('sections', nargs='+', choices=[*SECTIONS, 'all'], metavar='SECTION', help=', '.join(SECTIONS))
    parser.add_argument(
        '--device',
        choices=['cpu', 'cuda'],
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='defaults to the GPU where there is one',
    )
    parser.add_argument(
        '--precision', choices=['fp32', 'bf16', 'both'], default='both', help='bf16 is mixed precision (default: both)'
    )
    parser.add_argument(
        '--allocator', choices=['default', 'tuned', 'both'], help='defaults to both on a CPU, default on a GPU'
    )
    parser.add_argument('--rounds', type=int, default=5, help='timed runs of each variant')
    parser.add_argument('--size', choices=['full', 'small'], default='full', help='small is for trying the tool out')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help='of PyTorch on the CPU')
    parser.add_argument(
        '--model',
        metavar='CONFIG|CHECKPOINT',
        help="whose stages to time, in the section 'stages'; defaults to a full one",
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the report here as well')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier report')
    parser.add_argument('--worker', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--worker-options', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    for name in ('rounds', 'threads'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} is {getattr(args, name)}, expected at least 1')
    with one_message():
        check_outputs(args.json, overwrite=args.overwrite)
        if args.model is not None:
            read_model_config(args.model)
    return args


def plan(args: argparse.Namespace) -> list[tuple[str, Options]]:
    """What has to be run, section by section."""
    sections = SECTIONS if 'all' in args.sections else dict.fromkeys(args.sections)
    precisions = ('fp32', 'bf16') if args.precision == 'both' else (args.precision,)
    allocator = args.allocator or ('both' if args.device == 'cpu' else 'default')
    allocators = ('default', 'tuned') if allocator == 'both' else (allocator,)
    return [
        (section, Options(args.device, precision, allocator, args.rounds, args.size, args.threads, model=args.model))
        for section, allocator, precision in product(sections, allocators, precisions)
    ]


def measure(section: str, options: Options) -> Run:
    """Run a section in this process."""
    torch.set_num_threads(options.threads)
    options = replace(options, fast_matmul=matmul_peaks(options.device, options.size).fast_matmul)
    result = import_module(f'benchmarks.{section}').run(options)
    return Run(section, options, describe(options.device, options.size), result)


def measure_apart(section: str, options: Options) -> Run | None:
    """Run a section in a process of its own; None if it broke, what it says is on the screen."""
    environment = {name: value for name, value in os.environ.items() if name not in TUNED}
    environment |= dict(OMP_NUM_THREADS=str(options.threads), **(TUNED if options.allocator == 'tuned' else {}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'run.json'
        arguments = [section, '--worker', str(path), '--worker-options', json.dumps(asdict(options))]
        if subprocess.run([sys.executable, __file__, *arguments], env=environment).returncode:
            return None
        return Run.from_json(json.loads(path.read_text()))


def save(runs: Sequence[Run], path: Path) -> None:
    """Write all runs as JSON."""
    path.write_text(json.dumps(dict(format=FORMAT, runs=[run.to_json() for run in runs]), indent=1) + '\n')


if __name__ == '__main__':
    run_tool(main)
