"""Write one web page about a run, the folds of an experiment, or several experiments: numbers, curves and every case.

The page is one file: it opens from the disk, without a network, and can be sent on as it is. It holds the images of
the cases.

Example:
  python tools/analysis_tools/report.py checkpoints/ultrarefiner/busi/fold_0
  python tools/analysis_tools/report.py checkpoints/ultrarefiner/busi/fold_* --out busi.html
"""

import time
from pathlib import Path

from rich.console import Console

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.report.report import CASES, make_report
from ultrarefiner.utils.whole_file import whole_file


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        'work_dirs',
        metavar='WORK_DIR',
        nargs='+',
        help='of a training, with the results of its test in test/ or val/; or a folder that tools/test.py --out wrote',
    )
    parser.add_argument('--out', type=Path, help='default: report.html in the first WORK_DIR')
    parser.add_argument(
        '--cases',
        type=int,
        default=CASES,
        metavar='N',
        help=f'images in the gallery at most; the worst, best and most changed are taken first; default: {CASES}',
    )
    parser.add_argument('--title', help="default: the config's name")
    parser.add_argument('--data-dir', help='where the converted datasets lie now, if not where the config says')
    parser.add_argument('--overwrite', action='store_true', help='replace a file given with --out')
    args = parser.parse_args(argv)

    console = Console()
    started = time.monotonic()
    with one_message():
        out = args.out or Path(args.work_dirs[0]) / 'report.html'
        # The default is this tool's own file; any other may be something else.
        if args.out is not None and out.exists() and not args.overwrite:
            raise FileExistsError(f'{out} exists already; --overwrite replaces it, --out chooses another file')
        with console.status('reading the results') as status:
            report = make_report(
                args.work_dirs,
                args.data_dir,
                args.cases,
                args.title,
                lambda done, images: status.update(f'pictures: {done} of {images} images'),
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as partial:
            partial.write_text(report.html, encoding='utf-8')
    for note in report.absent:
        console.print(f'note: {note}', markup=False, highlight=False, soft_wrap=True)
    size = len(report.html) / 2**20
    left_out = f', {report.left_out} left out (--cases)' if report.left_out else ''
    console.print(
        f'{out}: {report.images} images{left_out}, {size:.1f} MiB, {time.monotonic() - started:.0f} s',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


if __name__ == '__main__':
    run_tool(main)
