"""How far the box of each generator is off, on shapes with a known box and over a background probability.

Each cell is the error of the half-width in percent of the true one, on the axis where it is larger (plus: the box is
too wide), and the IoU with the true box. The last row of a shape is the formula of the method's authors, as their code
has it: the centroid plus and minus 2.5 standard deviations of the raw probabilities, and 5 pixels of 1024. A second
table has the k at which MomentBox is exact: 2 for an ellipse, the root of 3 = 1.73 for an upright rectangle.

Example:
  python tools/analysis_tools/box_table.py --sizes 10 25 50 --csv boxes.csv
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.ops import box_iou

from ultrarefiner.registry import PROMPT_GENERATORS
from ultrarefiner.structures import SegOutput
from ultrarefiner.utils.command_line import check_outputs, one_message, run_tool, tool_parser

IMAGE = 224
FLOORS = (0.0, 0.001, 0.01)
INSIDE = 0.97
SAMPLES = 8  # A pixel's coverage is measured on a grid of so many points a side.
SHAPES = ('disc', 'ellipse', 'rectangle')
GENERATORS = {
    'ThresholdBox': dict(type='ThresholdBox'),
    'StraightThroughBox': dict(type='StraightThroughBox'),
    'SoftExtremesBox': dict(type='SoftExtremesBox'),
    'SoftQuantileBox 0.01': dict(type='SoftQuantileBox'),
    'SoftQuantileBox 0.001': dict(type='SoftQuantileBox', quantile=0.001),
    'MomentBox k=2': dict(type='MomentBox'),
    'MomentBox k=1.732': dict(type='MomentBox', k=3**0.5),
    'MomentBox k=2 floor=0': dict(type='MomentBox', floor=0.0),
    'JitterBox (evaluation)': dict(type='JitterBox'),
}
AUTHORS = "authors' formula"


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('--sizes', type=float, nargs='+', default=[10, 25, 50], help='half-heights in pixels of 224')
    parser.add_argument('--csv', type=Path, metavar='FILE', help='also write every number to this file')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier file')
    options = parser.parse_args(argv)
    if not all(2 <= size <= 55 for size in options.sizes):
        parser.error('--sizes takes 2 to 55: the shapes have to fit into the image')
    with one_message():
        check_outputs(options.csv, overwrite=options.overwrite)
    cases = track(list(product(SHAPES, options.sizes)), 'measuring', console=Console(stderr=True))
    rows = pd.DataFrame([row for shape, size in cases for row in measure(shape, size)])
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(error_table(rows))
    console.print(calibration_table(options.sizes))
    if options.csv:
        rows.to_csv(options.csv, index=False)
    return 0


def measure(shape: str, size: float) -> list[dict]:
    """One row for each floor and generator: the errors in percent, the IoU, the box and the true one."""
    cover, truth = draw(shape, size)
    rows = []
    for floor in FLOORS:
        probability = cover * (INSIDE - floor) + floor
        for name, box in boxes_of(probability).items():
            wide, high = (100 * (extent(box) / extent(truth) - 1)).tolist()
            rows.append(
                dict(
                    shape=shape,
                    size=size,
                    background=floor,
                    generator=name,
                    width_error=wide,
                    height_error=high,
                    iou=float(box_iou(box[None], truth[None])),
                    **dict(zip(('x0', 'y0', 'x1', 'y1'), (box * IMAGE).tolist())),
                    **dict(zip(('true_x0', 'true_y0', 'true_x1', 'true_y1'), (truth * IMAGE).tolist())),
                )
            )
    return rows


def draw(shape: str, size: float) -> tuple[Tensor, Tensor]:
    """The coverage (224, 224) in [0, 1] of a shape off the image's centre, and its true box (4, ), normalised."""
    centre_x, centre_y = 0.43 * IMAGE, 0.55 * IMAGE
    width = size if shape == 'disc' else 1.6 * size
    at = (torch.arange(IMAGE * SAMPLES) + 0.5) / SAMPLES
    x, y = (at - centre_x) / width, ((at - centre_y) / size)[:, None]
    inside = torch.maximum(x.abs(), y.abs()) <= 1 if shape == 'rectangle' else x.square() + y.square() <= 1
    box = torch.tensor([centre_x - width, centre_y - size, centre_x + width, centre_y + size])
    return torch.nn.functional.avg_pool2d(inside[None].float(), SAMPLES)[0], box / IMAGE


def boxes_of(probability: Tensor) -> dict[str, Tensor]:
    """The box (4, ), normalised, of every generator and of the authors' formula, for probabilities (H, W)."""
    coarse = SegOutput(probability.logit(eps=1e-7)[None, None])
    boxes = {}
    for name, cfg in GENERATORS.items():
        boxes[name] = PROMPT_GENERATORS.build(cfg).eval()(coarse, []).boxes[0, 0]
    boxes[AUTHORS] = authors_box(probability)
    return boxes


def authors_box(probability: Tensor) -> Tensor:
    """The centroid plus and minus 2.5 standard deviations of the raw probabilities, and a margin of 5 / 1024."""
    centre, std = mean_and_std(probability)
    half = 2.5 * std + 5 / 1024
    return torch.cat([centre - half, centre + half]).clamp(0, 1)


def mean_and_std(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Of weights (H, W), along x and y, normalised: (2, ) each."""
    moments = []
    for dim in (0, 1):
        profile = weights.sum(dim=dim).double()
        at = (torch.arange(len(profile)) + 0.5) / len(profile)
        mean = (profile * at).sum() / profile.sum()
        moments.append((mean, ((profile * (at - mean) ** 2).sum() / profile.sum()).sqrt()))
    means, stds = zip(*moments)
    return torch.stack(means).float(), torch.stack(stds).float()


def extent(box: Tensor) -> Tensor:
    """(width, height) of a box (4, )."""
    return box[2:] - box[:2]


def error_table(rows: pd.DataFrame) -> Table:
    """A row for each shape, size and generator; two columns for each background probability."""
    table = Table('shape', 'half-height', 'generator', title=f'boxes on {IMAGE} x {IMAGE} pixels, p = {INSIDE} inside')
    for floor in FLOORS:
        table.add_column(f'error %\nat {floor:g}', justify='right')
        table.add_column(f'IoU\nat {floor:g}', justify='right')
    for (shape, size), group in rows.groupby(['shape', 'size'], sort=False):
        for index, (name, cells) in enumerate(group.groupby('generator', sort=False)):
            values = []
            for cell in cells.itertuples():
                values += [f'{max(cell.width_error, cell.height_error, key=abs):+.1f}', f'{cell.iou:.3f}']
            table.add_row(*([shape, f'{size:g}'] if index == 0 else ['', '']), name, *values)
        table.add_section()
    return table


def calibration_table(sizes: list[float]) -> Table:
    """The half-width in standard deviations, on a clean background: the k at which MomentBox is exact."""
    table = Table('shape', title='k at which MomentBox is exact, x and y')
    for size in sizes:
        table.add_column(f'{size:g} px', justify='right')
    for shape in SHAPES:
        cells = []
        for size in sizes:
            cover, truth = draw(shape, size)
            x, y = (extent(truth) / 2 / mean_and_std(cover)[1]).tolist()
            cells.append(f'{x:.3f}  {y:.3f}')
        table.add_row(shape, *cells)
    return table


if __name__ == '__main__':
    run_tool(main)
