"""check_adapter: does an adapter keep its family's promises?"""

from __future__ import annotations

import copy

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from ..interfaces import BaseAdapter
from ..registry import ADAPTERS
from .contract_error import require

TOLERANCE = 1e-4
EFFECT = 1e-3


def check_adapter(cfg: dict, network: nn.Module | None = None, inputs: Tensor | None = None) -> None:
    """Hold an adapter to the contract of `BaseAdapter`.

    An adapted network starts as the plain one; its trainable weights are the adapter's own, and each gets gradient;
    ``plain_key`` gives back every plain name once; the state dict holds all that it takes to make the same network
    again; ``restart`` starts from plain weights that were loaded later; ``merge`` gives the plain network's names with
    the adapted one's outputs; a network that the recipe does not fit is refused; half precision gives finite values.

    Args:
        cfg (dict): Config of the adapter; its ``type`` may be a class.
        network (nn.Module, optional): What it is made for. Defaults to a two-block image encoder of SAM, 32 pixels.
        inputs (Tensor, optional): For ``network``. Defaults to two images (2, 3, 32, 32).

    Raises:
        ContractError: At the first promise that is not kept.
    """
    network = copy.deepcopy(_small_encoder() if network is None else network).eval()
    inputs = torch.randn(2, 3, 32, 32, generator=_generator()) if inputs is None else inputs
    adapter = ADAPTERS.build(cfg)
    adapted = _adapt(adapter, network)
    with torch.no_grad():
        _require_same(adapter, 'starts as the plain network', network(inputs), adapted(inputs))
    _check_names(adapter, network, adapted)
    _check_gradient(adapter, adapted, inputs)
    _change(adapted)
    with torch.no_grad():
        moved = float((adapted(inputs) - network(inputs)).abs().max())
        require(moved > EFFECT, adapter, 'effect', f'a change of {moved:.4g}', 'other outputs once its weights change')
        _check_reload(adapter, network, adapted, inputs)
        _check_restart(adapter, network, adapted, inputs)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            finite = bool(adapted(inputs).isfinite().all())
        require(finite, adapter, 'bfloat16 autocast', 'nan or infinity', 'finite values')
        _check_merge(adapter, network, adapted, inputs)
    _check_refusal(adapter)


def _check_names(adapter: BaseAdapter, network: nn.Module, adapted: nn.Module) -> None:
    plain = [adapter.plain_key(name) for name in adapted.state_dict()]
    found, expected = sorted(name for name in plain if name is not None), sorted(network.state_dict())
    wrong = sorted(set(found).symmetric_difference(expected))
    require(found == expected, adapter, 'plain_key', wrong, "every plain name once, and None for the adapter's own")


def _check_gradient(adapter: BaseAdapter, adapted: nn.Module, inputs: Tensor) -> None:
    trainable = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    foreign = [name for name in trainable if adapter.plain_key(name) is not None]
    require(not foreign, adapter, 'what trains', foreign, "the adapter's own weights alone")
    require(bool(trainable), adapter, 'what trains', 'nothing', "the adapter's own weights")
    loss = adapted(inputs).square().mean()
    gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    silent = [name for name, gradient in zip(trainable, gradients) if gradient is None]
    require(not silent, adapter, 'gradient', f'none at {silent}', 'a gradient at every trainable weight')


def _check_reload(adapter: BaseAdapter, network: nn.Module, adapted: nn.Module, inputs: Tensor) -> None:
    again = _adapt(adapter, network, seed=1)
    again.load_state_dict(adapted.state_dict())
    _require_same(adapter, 'the state dict is all there is', adapted(inputs), again(inputs))


def _check_restart(adapter: BaseAdapter, network: nn.Module, adapted: nn.Module, inputs: Tensor) -> None:
    other = copy.deepcopy(network)
    for weight in other.parameters():
        weight.add_(0.1 * torch.randn(weight.shape, generator=_generator(1)))
    restarted = copy.deepcopy(adapted)
    weights = list(restarted.parameters())
    plain = other.state_dict()
    names = {name: adapter.plain_key(name) for name in restarted.state_dict()}
    restarted.load_state_dict({name: plain[key] for name, key in names.items() if key is not None}, strict=False)
    adapter.restart(restarted)
    same = [id(weight) for weight in weights] == [id(weight) for weight in restarted.parameters()]
    require(
        same, adapter, 'restart', 'other parameters', 'the same parameters with other values: an optimizer has them'
    )
    _require_same(adapter, 'restart starts as the plain network', other(inputs), restarted(inputs))


def _check_merge(adapter: BaseAdapter, network: nn.Module, adapted: nn.Module, inputs: Tensor) -> None:
    merged = copy.deepcopy(adapted)
    adapter.merge(merged)
    shapes, expected = ({name: tuple(v.shape) for name, v in m.state_dict().items()} for m in (merged, network))
    wrong = sorted(shapes.items() ^ expected.items())
    require(shapes == expected, adapter, 'merge', wrong, 'the names and shapes of the plain network')
    _require_same(adapter, 'merged equals unmerged', adapted(inputs), merged(inputs))


def _check_refusal(adapter: BaseAdapter) -> None:
    try:
        adapter.inject(nn.Sequential(nn.ReLU()))
    except ValueError:
        return
    require(False, adapter, 'nothing to adapt', 'no error', 'a ValueError where the recipe fits nothing')


def _adapt(adapter: BaseAdapter, network: nn.Module, seed: int = 0) -> nn.Module:
    adapted = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapter.inject(adapted)
    return adapted.eval()


def _change(adapted: nn.Module) -> None:
    """Give every trainable weight another value."""
    generator = _generator(2)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(0.2 * torch.randn(weight.shape, generator=generator))


def _require_same(adapter: BaseAdapter, promise: str, expected: Tensor, found: Tensor) -> None:
    apart = float((expected - found).abs().max())
    bound = TOLERANCE * max(1.0, float(expected.abs().max()))
    require(apart <= bound, adapter, promise, f'a difference of {apart:.4g}', f'at most {bound:.4g}')


def _small_encoder() -> nn.Module:
    """Two blocks of SAM's image encoder for 32 pixels, one with windows and one without."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ImageEncoderViT(
            img_size=32,
            patch_size=8,
            embed_dim=16,
            depth=2,
            num_heads=2,
            out_chans=8,
            use_rel_pos=True,
            window_size=2,
            global_attn_indexes=(1,),
        )


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
