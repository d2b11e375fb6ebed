"""check_gate: does a gate keep its family's promises?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import BaseGate
from ..registry import GATES
from .contract_error import require
from .toy_masks import degenerate_logits, ellipse_logits

BATCHES = ((1, 1), (3, 1), (2, 4))
SIZES = ((32, 32), (40, 56))


def check_gate(cfg: dict) -> None:
    """Hold a gate to the contract of `BaseGate`.

    Shapes fit N images, K slots and any size; values lie in [0, 1]; image i does not influence image j, nor slot k slot
    l, in training either; masks in full doubt (logit 0) and extreme logits give finite values and gradients; every
    trainable parameter takes part; half precision gives values in [0, 1].

    Args:
        cfg (dict): Config of the gate; its ``type`` may be a class.

    Raises:
        ContractError: At the first promise that is not kept.
    """
    gate = GATES.build(cfg)
    for training in (True, False):
        gate.train(training)
        for num_images, num_slots in BATCHES:
            for size in SIZES:
                inputs = _inputs(num_images, num_slots, size)
                _check_values(gate, gate(*inputs), inputs[0], f'N={num_images}, K={num_slots}, size={size}')
        _check_independence(gate)
    for name, inputs in _hard_cases().items():
        _check_gradient(gate, name, *inputs)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            inputs = [logits.to(dtype) for logits in _inputs(2, 2)]
            _check_values(gate, gate(*inputs), inputs[0], f'bfloat16 autocast with {dtype} logits')


def _check_values(gate: BaseGate, values: Tensor, coarse: Tensor, case: str) -> None:
    require(values.shape == coarse.shape, gate, f'shape, {case}', tuple(values.shape), str(tuple(coarse.shape)))
    values = values.detach()
    inside = (values >= 0) & (values <= 1)
    require(bool(inside.all()), gate, f'range, {case}', values[~inside].tolist()[:5], 'values in [0, 1]')


def _check_independence(gate: BaseGate) -> None:
    coarse, refined = _inputs(3, 2)
    before = _run(gate, coarse, refined)
    for what, changed in (('image', (1, slice(None))), ('slot', (slice(None), 1))):
        other = coarse.clone(), refined.clone()
        for logits in other:
            logits[changed] = 1 - 2 * logits[changed].flip(-1)
        still = torch.ones(coarse.shape[:2], dtype=torch.bool)
        still[changed] = False
        moved = float((_run(gate, *other) - before)[still].abs().max())
        require(
            moved == 0,
            gate,
            f'{what} independence',
            f'a gate that moves by {moved:.4g} when another {what} changes',
            'no influence: no statistics over images, slots folded into the batch',
        )


def _check_gradient(gate: BaseGate, name: str, coarse: Tensor, refined: Tensor) -> None:
    coarse, refined = coarse.clone().requires_grad_(), refined.clone().requires_grad_()
    values = gate(coarse, refined)
    _check_values(gate, values, coarse, name)
    trainable = {key: parameter for key, parameter in gate.named_parameters() if parameter.requires_grad}
    if not values.requires_grad:
        require(not trainable, gate, 'every trainable parameter takes part', sorted(trainable), 'none left out')
        return
    inputs = [coarse, refined, *trainable.values()]
    gradients = torch.autograd.grad(values.square().sum(), inputs, allow_unused=True)
    missing = [key for key, gradient in zip(trainable, gradients[2:]) if gradient is None]
    require(not missing, gate, 'every trainable parameter takes part', missing, 'none left out')
    require(
        all(bool(gradient.isfinite().all()) for gradient in gradients if gradient is not None),
        gate,
        f'finite gradient, {name}',
        'nan or infinity',
        'finite gradients at logits, weights and at logit 0; mind powers below 1 and logarithms of 0',
    )


def _run(gate: BaseGate, coarse: Tensor, refined: Tensor) -> Tensor:
    """The gate's values; what it may draw at random in training is the same in every call."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return gate(coarse, refined)


def _inputs(num_images: int, num_slots: int, size: tuple[int, int] = SIZES[0]) -> tuple[Tensor, Tensor]:
    """A coarse mask, and a refined one that differs from it everywhere."""
    coarse = ellipse_logits(num_images, num_slots, size)
    return coarse, 0.7 * coarse.roll(3, dims=-1) - 0.2


def _hard_cases() -> dict[str, tuple[Tensor, Tensor]]:
    masks = degenerate_logits()
    empty, full, pixel = masks['empty'], masks['full'], masks['one-pixel']
    doubt = torch.zeros_like(empty)
    return {
        'masks in full doubt': (doubt, doubt),
        'doubt against an extreme mask': (doubt, full),
        'extreme logits that agree': (pixel, pixel),
        'extreme logits that disagree': (empty, full),
    }
