r"""Measure the gradient of the refined loss that reaches the coarse network, through each kind of prompt.

Takes one batch of the config's training set, or random images with a disc where --random is given, and prints for each
part of the config's prompt generator, the others held, the norm of the gradient on the coarse network's weights, and
its direction against the gradient of the coarse loss and against the whole one.

With --check also its slope by finite differences, one column a step. It tends to the norm as the step shrinks, until
float32 rounds it away. How near it comes depends on how smooth the networks are: rectifiers, and the batch statistics
of a single image, bend within a hundredth.

Example:
  python tools/analysis_tools/gradient_flow.py \
      configs/ultrarefiner/ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py \
      --random --check 0.01 0.003 0.001
"""

import resource
import time

import torch
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from rich.console import Console
from rich.progress import track
from rich.table import Table

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.gradient_flow import GradientFlow
from ultrarefiner.apis.model import build_model


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of phase 3')
    parser.add_argument('--random', action='store_true', help='random images and weights: needs neither data nor files')
    parser.add_argument('--batch-size', type=int, default=1, help='images at once (default: 1)')
    parser.add_argument(
        '--check', type=float, nargs='+', default=(), metavar='STEP', help='compare with finite differences'
    )
    add_config_arguments(parser)
    args = parser.parse_args()
    with one_message():
        cfg = load_config(args.config, run_options(args))
        if cfg.model.get('refiner') is None:
            raise ValueError(f'{args.config} has no refiner; give a config of phase 3')
        if cfg.model.coarse.type == 'PrecomputedCoarse':
            raise ValueError(
                f'{args.config} reads stored predictions, which take no gradient; give a config of phase 3'
            )
        torch.manual_seed(cfg.randomness.seed)
        model = build_model(cfg).train()
        if not args.random:
            model.init_weights()
        images, samples = random_batch(args.batch_size) if args.random else first_batch(cfg, model, args.batch_size)
    started = time.time()
    progress = Console(stderr=True)
    flow = GradientFlow(model, images, samples, as_if_found=args.random)
    flows = flow.measure(args.check, lambda ways: track(ways, 'measuring', console=progress))
    show(flows, args.check, model, images, time.time() - started)


def random_batch(size: int) -> tuple[list, list]:
    """Noise with a darker disc, 500 x 600 pixels."""
    y, x = torch.meshgrid(torch.arange(500), torch.arange(600), indexing='ij')
    disc = (x - 350) ** 2 + (y - 220) ** 2 < 90**2
    images, samples = [], []
    for _ in range(size):
        noise = 120 + 30 * torch.randn(3, 500, 600) - 60 * disc
        images.append(noise.clamp(0, 255).to(torch.uint8))
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=disc.long()[None])))
    return images, samples


def first_batch(cfg, model, size: int) -> tuple[list, list]:
    """The first batch of the training set."""
    loader = Runner.build_dataloader({**cfg.train_dataloader, 'batch_size': size}, seed=cfg.randomness.seed)
    batch = model.data_preprocessor(next(iter(loader)))
    return batch['inputs'], batch['data_samples']


def show(flows: list, steps: list, model, images: list, seconds: float) -> None:
    """Print the table, and what it cost."""
    table = Table(title='gradient of the refined loss on the coarse network')
    titles = ['through', 'kinds', 'norm', 'cos coarse loss', 'cos all']
    for title in titles + [f'slope, step {step:g}' for step in steps]:
        table.add_column(title, justify='left' if title in ('through', 'kinds') else 'right')
    for flow in flows:
        cells = [f'{flow.norm:.3e}', f'{flow.cosine_coarse:+.3f}', f'{flow.cosine_all:+.3f}']
        table.add_row(flow.way, flow.kinds, *cells, *(f'{slope:.3e}' for slope in flow.slopes))
    # A file or a pipe has no width of its own.
    console = Console() if Console().is_terminal else Console(width=160)
    console.print(table)
    count = sum(weight.numel() for weight in model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f'{count:,} parameters, batch of {len(images)}, {seconds:.1f} s, peak memory {peak:.1f} GiB')


if __name__ == '__main__':
    run_tool(main)
