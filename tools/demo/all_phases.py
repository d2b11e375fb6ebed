"""The whole method on the CPU: data, phase 1 on five folds, out-of-fold predictions, phase 2, phase 3, test, report.

At the end the model that was trained stands beside the one that comes with the project, on the same test images.

Example:
  python tools/demo/all_phases.py                                          (phantom images)
  python tools/demo/all_phases.py --data path/to/Dataset_BUSI_with_GT
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from ultrarefiner.apis.cli import input_folder, run_tool, tool_parser
from ultrarefiner.apis.inference.inferencer import UltraRefinerInferencer
from ultrarefiner.apis.model_comparison import ModelComparison, seen_in_training
from ultrarefiner.apis.model_zoo import list_models

TOOLS = Path(__file__).resolve().parents[1]
PIPELINE = TOOLS.parent / 'configs' / 'pipelines' / 'small.py'
ENOUGH = 240
SHIPPED = 'ultrarefiner-small-bus'
TRAINED = 'trained here'


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo', help='where everything goes')
    parser.add_argument(
        '--data',
        type=input_folder('give the folder Dataset_BUSI_with_GT of your download'),
        help='BUSI as downloaded, the folder Dataset_BUSI_with_GT; default: phantom images',
    )
    parser.add_argument('--images', type=int, default=ENOUGH, help='number of phantom images; fewer teach too little')
    args = parser.parse_args()
    console = Console()
    if not args.data and args.images < ENOUGH:
        console.print(f'{args.images} images are too few to learn from: every step runs, the results will be poor')
    source = args.data.resolve() if args.data else None
    # Each source has a folder of its own, so that results never rest on another one's images.
    name = f'busi-{hashlib.sha256(str(source).encode()).hexdigest()[:8]}' if source else f'phantom-{args.images}'
    root = Path(args.work_dir) / name
    archive = source or root / 'archive'
    if not archive.exists():
        console.rule('phantom images')
        unfinished = root / 'archive.partial'
        shutil.rmtree(unfinished, ignore_errors=True)
        run('dataset_converters/phantom.py', unfinished, '--images', args.images)
        unfinished.rename(archive)
    if not (root / 'data' / 'busi').exists():
        console.rule('conversion')
        run('dataset_converters/busi.py', archive, root / 'data' / 'busi')
    console.rule('training and testing')
    folders = ('--data-dir', root / 'data', '--out-dir', root)
    run('run_phases.py', PIPELINE, '--dataset', 'busi', '--folds', 0, '--jobs', 2, *folders)
    console.rule('report')
    work_dir = root / 'checkpoints' / 'ultrarefiner' / 'busi' / 'fold_0'
    run('analysis_tools/report.py', work_dir)
    if SHIPPED in list_models():
        console.rule(f'beside {SHIPPED}')
        show_beside(work_dir / 'best.pth', root, 'phantoms' if source is None else 'images', console)


def show_beside(checkpoint: Path, root: Path, kind: str, console: Console) -> None:
    """Print what the trained and the shipped model make of the test images, and write some of them into a picture.

    Args:
        checkpoint (Path): Of the trained model.
        root (Path): The folder of the demo, with the converted data; gets the picture.
        kind (str): 'phantoms' or 'images'.
        console (Console): Where to print.
    """
    comparison = ModelComparison(root / 'data' / 'busi')
    shipped = UltraRefinerInferencer(SHIPPED)
    comparison.add(TRAINED, UltraRefinerInferencer(checkpoint))
    comparison.add(SHIPPED, shipped)
    made = shipped.members[0].provenance
    # Converted phantoms have the layout and the name of BUSI.
    said = seen_in_training(made, comparison.splits)
    if kind == 'phantoms':
        said = f'It was trained on {", ".join(made.get("splits", {}))} and never saw a phantom, which a program draws.'
    panels = {
        'Coarse, trained here': (TRAINED, 'coarse'),
        'Refined, trained here': (TRAINED, 'refined'),
        'Refined, shipped': (SHIPPED, 'refined'),
    }
    picture = root / 'beside_shipped.png'
    comparison.write_picture(picture, panels)
    console.print(comparison.table())
    console.print(
        f'{SHIPPED} comes with the project. {said}\n{len(comparison.shown)} of the images: {picture}', markup=False
    )


def run(tool: str, *arguments) -> None:
    """Run a tool, and end with its exit code if it fails."""
    code = subprocess.run([sys.executable, str(TOOLS / tool), *map(str, arguments)]).returncode
    if code:
        sys.exit(code)


if __name__ == '__main__':
    run_tool(main, 'the same command goes on from here')
