r"""Measure the gradient of the refined loss that reaches the coarse network, for each kind of prompt alone.

Takes one batch of the config's training set, or random images with a disc where --random is given, and prints the norm
of the gradient on the coarse network's weights: of the whole refined loss, and through each part of the config's prompt
generator with the others cut off.

Example:
  python tools/analysis_tools/gradient_flow.py \
      configs/ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py --random
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
from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.model import build_model
from ultrarefiner.structures import SegOutput, Stages, StageTarget


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of phase 3')
    parser.add_argument('--random', action='store_true', help='random images and weights: needs neither data nor files')
    parser.add_argument('--batch-size', type=int, default=1)
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
    rows = measure(model, images, samples, args.random)
    show(rows, model, images, time.time() - started)


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


def measure(model, images: list, samples: list, random: bool) -> list[tuple[str, str, float, float]]:
    """(prompt generator, kinds, loss, gradient norm on the coarse network) for all prompts, then each part alone."""
    whole = model.prompt_generator
    parts = [(' + '.join(type(part).__name__ for part in parts_of(whole)), whole)]
    parts += [(type(part).__name__, part) for part in parts_of(whole)] if len(parts_of(whole)) > 1 else []
    target = StageTarget([sample.gt_sem_seg.data[0] for sample in samples], num_slots=model.num_slots)
    coarse = model.run_coarse(images, samples)
    if random:
        coarse = as_if_found(coarse, target)
    embedding = model.refiner.encode_image(images)
    weights = [weight for weight in model.coarse.parameters() if weight.requires_grad]
    rows = []
    for name, generator in track(parts, description='measuring', console=Console(stderr=True)):
        prompts = generator(coarse, images)
        refined = model.refiner.decode(embedding, coarse, prompts, model.refine_size)
        stages = Stages(coarse, prompts, refined)
        loss = sum(loss(stages, target) for loss in model.losses if loss.stage == 'refined')
        gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        reached = [gradient.norm() for gradient in gradients if gradient is not None]
        norm = float(torch.stack(reached).norm()) if reached else 0.0
        rows.append((name, '+'.join(sorted(generator.produces)), float(loss.detach()), norm))
    return rows


def as_if_found(coarse: SegOutput, target: StageTarget) -> SegOutput:
    """Give random weights a result worth refining: the ground truth's logits, 4 and -4, with the network's gradient."""
    mask, _ = target.at(tuple(coarse.logits.shape[-2:]))
    return coarse._replace(logits=coarse.logits - coarse.logits.detach() + 8 * mask - 4)


def parts_of(generator) -> list:
    """The generators that a combination holds, or the generator itself."""
    return list(getattr(generator, 'generators', [generator]))


def show(rows: list, model, images: list, seconds: float) -> None:
    """Print the table, and what it cost."""
    table = Table(title='gradient of the refined loss on the coarse network')
    for title in ('prompts', 'kinds', 'refined loss', 'gradient norm'):
        table.add_column(title, justify='left' if title in ('prompts', 'kinds') else 'right')
    for name, kinds, loss, norm in rows:
        table.add_row(name, kinds, f'{loss:.4f}', f'{norm:.3e}' if norm else '0')
    console = Console()
    console.print(table)
    count = sum(weight.numel() for weight in model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f'{count:,} parameters, batch of {len(images)}, {seconds:.1f} s, peak memory {peak:.1f} GiB')


if __name__ == '__main__':
    main()
