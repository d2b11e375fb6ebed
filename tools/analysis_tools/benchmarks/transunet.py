"""The transunet section: forward and backward pass of TransUNet, against the same network as it was published."""

from __future__ import annotations

import copy
import math
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ultrarefiner.models.backbones.resnet_v2 import StdConv2d
from ultrarefiner.models.backbones.vision_transformer_blocks import SelfAttention
from ultrarefiner.registry import MODELS
from ultrarefiner.testing.toy_masks import ellipse_logits

from .equality import relative_error
from .harness import Gate, Goal, Options, Row, Section, alternate, ratio, variants_of

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / '_base_' / 'models'
NETWORKS = dict(full='coarse_transunet_r50-vit-b16.py', small='coarse_transunet-small.py')
BATCHES = dict(cpu=4, cuda=24)
LIMITS = dict(fp32=1e-5, bf16=2e-2)
# Goals: on a CPU against the published one in float32 as it comes, on a GPU against it in the same precision.
FASTER = dict(fp32=dict(default=1.5, tuned=1.4), bf16=dict(default=2.6, tuned=2.3))
GPU_FASTER = 1.5
GPU_IMAGES_PER_S = 1000


def run(options: Options) -> Section:
    """Run the section; in bf16 the published network runs in float32 as well, as the baseline."""
    network = build(options)
    images, truth = make_batch(network, options)
    section = Section(f'TransUNet, forward and backward, {images.shape[-1]} pixels, batch {len(images)}')

    step = partial(loss_and_gradients, images, truth)
    published = variants_of('published', partial(step, as_published(network)), options.baseline_settings)
    ours = variants_of('ours', partial(step, network), options.settings)
    measured = alternate([*published, *ours], options.rounds)
    base, same, fastest = (measured[one.name] for one in (published[0], published[-1], ours[-1]))
    rates = {name: len(images) / median(one.seconds) for name, one in measured.items()}
    for name, one in measured.items():
        loss, gradients = (relative_error(part, exact) for part, exact in zip(one.result, base.result))
        section.rows.append(Row.of(one, base, images_per_s=rates[name], gradient_error=gradients))
        if one is not base:
            section.gates.append(Gate(f'loss of {name} and {base.variant.name}', loss, LIMITS[options.precision]))
    section.gates.append(Gate('gradients of ours and published, float64', float64_error(network, images, truth), 1e-9))
    section.notes.append(
        'transunet: rectifiers and norms enlarge what float32 rounds off, so that the gradients of one network on two '
        'float32 matmul paths differ (gradient_error, against the first row); their gate is in float64'
    )
    if options.device == 'cpu':
        wanted = FASTER[options.precision][options.allocator]
        section.goals.append(
            Goal(f'{ours[-1].name}: times as fast as {base.variant.name}', ratio(base, fastest).median, wanted)
        )
    elif options.precision == 'bf16':
        section.goals += [
            Goal(f'{ours[-1].name}: times as fast as {same.variant.name}', ratio(same, fastest).median, GPU_FASTER),
            Goal(f'{ours[-1].name}: images a second', rates[ours[-1].name], GPU_IMAGES_PER_S),
        ]
    return section


def build(options: Options) -> nn.Module:
    """The network of the config, in training, with random weights and without dropout, which draws anew every time."""
    cfg = Config.fromfile(CONFIGS / NETWORKS[options.size]).coarse
    cfg.backbone.update(init_cfg=None, dropout=0.0)
    cfg.pop('name')
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)
    return MODELS.build(cfg).train().to(options.device)


def make_batch(network: nn.Module, options: Options) -> tuple[Tensor, Tensor]:
    """Grey noise with a darker ellipse (N, 3, H, W), in [0, 1], and where that is, integers (N, H, W), 0 or 1."""
    torch.manual_seed(1)
    inside = ellipse_logits(BATCHES[options.device], 1, network.backbone.img_size) > 0
    images = 0.4 + 0.5 * torch.rand(len(inside), 3, *network.backbone.img_size) - 0.3 * inside
    return images.to(options.device), inside[:, 0].long().to(options.device)


def loss_and_gradients(images: Tensor, truth: Tensor, network: nn.Module, precision: str) -> tuple[Tensor, dict]:
    """The cross-entropy, and its gradients by the weight's name."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == 'bf16'):
        logits = network.decode_head(network.backbone(images))
    loss = F.cross_entropy(logits.to(images), truth)
    weights = dict(network.named_parameters())
    return loss.detach(), dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


def float64_error(network: nn.Module, images: Tensor, truth: Tensor) -> float:
    """Of the gradients against those of the published network, on two images in float64."""
    exact = copy.deepcopy(network).double()
    ours, published = (
        loss_and_gradients(images[:2].double(), truth[:2], one, 'fp32')[1] for one in (exact, as_published(exact))
    )
    return relative_error(ours, published)


def as_published(network: nn.Module) -> nn.Module:
    """A copy that computes attention and standardised kernels as TransUNet publishes them, with the same weights."""
    copied = copy.deepcopy(network, {id(weight): weight for weight in network.parameters()})
    for name, part in list(copied.named_modules()):
        if isinstance(part, SelfAttention):
            copied.set_submodule(name, PublishedAttention(part))
        elif isinstance(part, StdConv2d):
            copied.set_submodule(name, PublishedConvolution(part))
    return copied


class PublishedAttention(nn.Module):
    """The scores, their softmax and the product with the values, one by one.

    Source: Beckschen/TransUNet, `vit_seg_modeling.py`, with its three linear layers as one.

    Args:
        ours (SelfAttention): Its layers are taken over.
    """

    def __init__(self, ours: SelfAttention):
        super().__init__()
        self.num_heads, self.qkv, self.out = ours.num_heads, ours.qkv, ours.out

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, D) to (N, L, D)."""
        query, key, value = (self._split(part) for part in self.qkv(tokens).chunk(3, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        mixed = scores.softmax(dim=-1) @ value
        return self.out(mixed.permute(0, 2, 1, 3).contiguous().flatten(2))

    def _split(self, part: Tensor) -> Tensor:
        """(N, L, D) to (N, heads, L, D / heads)."""
        return part.unflatten(-1, (self.num_heads, -1)).permute(0, 2, 1, 3)


class PublishedConvolution(nn.Module):
    """A convolution whose kernel is standardised step by step.

    Source: Beckschen/TransUNet, `vit_seg_modeling_resnet_skip.py`.

    Args:
        ours (StdConv2d): Its weights and settings are taken over.
    """

    def __init__(self, ours: StdConv2d):
        super().__init__()
        self.weight, self.stride, self.padding = ours.weight, ours.stride, ours.padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H', W')."""
        variance, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, unbiased=False)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-5)
        return F.conv2d(x, weight, None, self.stride, self.padding)
