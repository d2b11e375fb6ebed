r"""Count what a model computes and holds, stage by stage: coarse network, prompts, image encoder, decoder.

Products and convolutions are counted, 2 FLOPs for a multiply-accumulate; what is computed element by element is not.
Attention counts as its formula is written, whichever kernel will run it. Activations are the numbers that these
operations put out. Needs no weights, and computes next to nothing: its tensors have a shape and no values.

Example:
  python tools/analysis_tools/get_flops.py \
      configs/ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py
  python tools/analysis_tools/get_flops.py checkpoints/ultrarefiner/busi/fold_0/best.pth --size 500 600 --json cost.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import OptionAction, check_outputs, one_message, run_tool, tool_parser
from ultrarefiner.apis.model import build_model
from ultrarefiner.apis.model_config import read_model_config
from ultrarefiner.models.refiners.image_encoder import WindowAttention
from ultrarefiner.models.segmentors import CoarseToFine, PrecomputedCoarse
from ultrarefiner.structures import SegOutput
from ultrarefiner.testing.toy_masks import ellipse_logits

STAGES = ('coarse', 'prompts', 'image encoder', 'decoder')
NEEDS_FILES = ('init_from', 'embedding_cache', 'regularizers')


@dataclass(frozen=True)
class Cost:
    """What a stage costs for one image.

    Attributes:
        flops: Twice the multiply-accumulates.
        activations: Numbers that its products and convolutions put out.
        trainable: Parameters that take a gradient.
        frozen: Parameters that do not.
    """

    flops: int = 0
    activations: int = 0
    trainable: int = 0
    frozen: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(int.__add__, astuple(self), astuple(other)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*map(int.__sub__, astuple(self), astuple(other)))


class Counter:
    """Counts FLOPs and activations of what runs inside of it."""

    def __init__(self):
        self._flops = FlopCounterMode(display=False)
        self._activations = FlopCounterMode(display=False, custom_mapping=dict.fromkeys(flop_registry, _put_out))

    def __enter__(self) -> Counter:
        self._flops.__enter__()
        self._activations.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._activations.__exit__(*error)
        self._flops.__exit__(*error)

    def now(self) -> Cost:
        """What was counted so far."""
        return Cost(self._flops.get_total_flops(), self._activations.get_total_flops())


def _put_out(*_, out_shape, **__) -> int:
    # A fused attention has several results, the first of which is the attention's.
    return math.prod(out_shape if isinstance(out_shape, torch.Size) else out_shape[0])


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('model', metavar='CONFIG|CHECKPOINT', help='config, checkpoint or package; no weights are read')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(512, 512), metavar=('H', 'W'), help='of the image (default: 512 512)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write every number here as well')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier file')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionAction, metavar='KEY=VALUE', help='override any key of the config'
    )
    args = parser.parse_args(argv)
    with one_message():
        if min(args.size) < 1:
            raise ValueError(f'--size is {args.size[0]} {args.size[1]}, expected 1 or more')
        check_outputs(args.json, overwrite=args.overwrite)
        costs = stage_costs(read_model_config(args.model, args.cfg_options), tuple(args.size))
        if args.json is not None:
            write_json(args.json, args.model, args.size, costs)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(cost_table(costs, f'one image of {args.size[0]} x {args.size[1]} pixels'))


@torch.no_grad()
@sdpa_kernel(SDPBackend.MATH)  # Its products are counted; those of the kernel for CPUs are not.
def stage_costs(cfg: Config, size: tuple[int, int]) -> dict[str, Cost]:
    """The cost of each stage that a model has, and of the whole.

    Args:
        cfg (Config): With the ``model``, a `CoarseToFine`.
        size (tuple[int, int]): (H, W) of the image, in pixels.

    Raises:
        ValueError: If the model is another one.
    """
    for key in NEEDS_FILES:
        cfg.model.pop(key, None)
    with torch.device('meta'):
        model = build_model(cfg)
    if not isinstance(model, CoarseToFine):
        raise ValueError(f'the model is a {type(model).__name__}, expected a CoarseToFine')
    encoder = image_encoder_of(model.refiner)
    costs = parameter_costs(model, encoder)
    compute_shapes_in(model.eval().requires_grad_(False), [model.coarse, encoder])
    images = [torch.zeros(3, *size, dtype=torch.uint8)]
    if not isinstance(model.coarse, PrecomputedCoarse):
        with Counter() as counter:
            model.run_coarse(images)
        costs['coarse'] += counter.now()
    if model.refiner is not None:
        for stage, cost in refiner_costs(model, encoder, images).items():
            costs[stage] += cost
    return {**costs, 'whole': sum(costs.values(), Cost())}


def compute_shapes_in(model: nn.Module, networks: Sequence[nn.Module | None]) -> None:
    """Leave the large networks of a model on the meta device, with a way in and out, and give the rest zeros."""
    inside = {part for network in networks if network is not None for part in network.modules()}
    for part in model.modules():
        if part not in inside:
            part._apply(lambda weight: torch.zeros_like(weight, device='cpu'), recurse=False)
        if isinstance(part, WindowAttention):
            part.way = 'plain'  # The formula; other ways make longer queries, or are chosen by trying them.
    for network in networks:
        if network is not None:
            network.register_forward_pre_hook(lambda _, *given: _move(given, 'meta'), with_kwargs=True)
            network.register_forward_hook(lambda _, given, made: _move(made, 'cpu'))


def _move(values, device: str):
    """Every tensor in a structure on the meta device, or as zeros on another one."""

    def move(value):
        return torch.zeros_like(value, device=device) if isinstance(value, Tensor) else value

    return tree_map(move, values)


def parameter_costs(model: CoarseToFine, encoder: nn.Module | None) -> dict[str, Cost]:
    """The parameters of each stage that the model has."""
    stages = dict(coarse=list(model.coarse.parameters()))
    if model.refiner is not None:
        encoding = [] if encoder is None else list(encoder.parameters())
        known = set(map(id, encoding))
        decoding = [weight for weight in model.refiner.parameters() if id(weight) not in known]
        stages.update(zip(STAGES[1:], (list(model.prompt_generator.parameters()), encoding, decoding)))
    costs = {}
    for stage, weights in stages.items():
        trainable = sum(weight.numel() for weight in weights if weight.requires_grad)
        costs[stage] = Cost(trainable=trainable, frozen=sum(weight.numel() for weight in weights) - trainable)
    return costs


def refiner_costs(model: CoarseToFine, encoder: nn.Module | None, images: list[Tensor]) -> dict[str, Cost]:
    """What prompts, image encoder and decoder compute; what a refiner encodes while it decodes counts as encoding."""
    objects = model.split_objects(SegOutput(ellipse_logits(1, model.num_slots, tuple(model.coarse_input.size))))
    with Counter() as counter:
        prompts = model.prompt_generator(objects, images)
    costs = dict(prompts=counter.now())
    with Counter() as counter:
        embedding = model.refiner.encode_image(images)
        encoded = counter.now()
        with watch(encoder, counter) as late:
            model.refine(embedding, objects, prompts, tuple(images[0].shape[-2:]))
        whole = counter.now()
    costs['image encoder'] = sum(late, encoded)
    costs['decoder'] = whole - costs['image encoder']
    return costs


@contextmanager
def watch(module: nn.Module | None, counter: Counter) -> Iterator[list[Cost]]:
    """Gives a list that gets an entry for each time that a module runs."""
    costs: list[Cost] = []
    begun: list[Cost] = []
    handles = []
    if module is not None:
        handles.append(module.register_forward_pre_hook(lambda *_: begun.append(counter.now())))
        handles.append(module.register_forward_hook(lambda *_: costs.append(counter.now() - begun.pop())))
    try:
        yield costs
    finally:
        for handle in handles:
            handle.remove()


def image_encoder_of(refiner: nn.Module | None) -> nn.Module | None:
    """The image encoder of a refiner, or of the one that it holds; None where there is none."""
    while refiner is not None and refiner.cached_encoder is None:
        refiner = getattr(refiner, 'refiner', None)
    return None if refiner is None else refiner.cached_encoder


def cost_table(costs: dict[str, Cost], title: str) -> Table:
    """A row a stage."""
    table = Table('stage', title=title)
    for heading in ('GMAC', 'GFLOP', 'M activations', 'M parameters', 'trainable', 'frozen'):
        table.add_column(heading, justify='right')
    for stage, cost in costs.items():
        if stage == 'whole':
            table.add_section()
        parameters = cost.trainable + cost.frozen
        numbers = (cost.flops / 2e9, cost.flops / 1e9, *(n / 1e6 for n in (cost.activations, parameters)))
        table.add_row(stage, *map('{:,.2f}'.format, numbers), *(f'{n / 1e6:,.2f}' for n in astuple(cost)[2:]))
    return table


def write_json(path: Path, model: str, size: Sequence[int], costs: dict[str, Cost]) -> None:
    """Write every number."""
    stages = {stage: dict(macs=cost.flops // 2, **asdict(cost)) for stage, cost in costs.items()}
    path.write_text(json.dumps(dict(model=model, image_size=list(size), stages=stages), indent=1) + '\n')


if __name__ == '__main__':
    run_tool(main)
