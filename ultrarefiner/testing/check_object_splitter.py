"""check_object_splitter: does an object splitter keep its family's promises?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..interfaces import BaseObjectSplitter
from ..registry import OBJECT_SPLITTERS
from ..structures import SegOutput
from .contract_error import require
from .toy_masks import degenerate_logits

BATCHES = ((1, 1), (3, 1), (2, 3))
SIZE = (40, 48)
# Normalised (x, y) of two discs with a radius of 15 % of the shorter side.
CENTRES = ((0.25, 0.3), (0.7, 0.65))
ROUNDING = 1e-4
# Beyond it float32 cannot tell a probability from 0 or 1.
CERTAIN = 50.0


def check_object_splitter(cfg: dict) -> None:
    """Hold an object splitter to the contract of `BaseObjectSplitter`.

    Each class gets the same number of slots; what was split is merged to the coarse logits again, for no, two and
    dozens of objects, a full and a one-pixel mask; two objects far apart get a slot each among those of their class,
    and no other slot has a logit above 0; an empty mask gets none; gradient reaches the coarse logits of each object;
    image i does not influence image j; a refined slot changes its own class alone; masks of another size, qualities and
    candidates are merged too; half precision gives finite logits.

    Args:
        cfg (dict): Config of the splitter, for two objects a class or more; its ``type`` may be a class.

    Raises:
        ContractError: At the first promise that is not kept.
    """
    splitter = OBJECT_SPLITTERS.build(cfg).eval()
    for num_images, num_classes in BATCHES:
        logits = _two_discs(num_images, num_classes)
        _check_objects(splitter, logits)
        _check_round_trip(splitter, 'two objects', logits)
    # More components than any splitter has slots for, most of them a few pixels large.
    noise = 3 * torch.randn(2, 2, *SIZE, generator=torch.Generator().manual_seed(0))
    _check_round_trip(splitter, 'dozens of objects', noise)
    for magnitude in (8.0, 1e4):
        for name, logits in degenerate_logits(magnitude=magnitude).items():
            _check_round_trip(splitter, f'{name} mask of logits of {magnitude:g}', logits)
            if name == 'empty':
                _check_empty(splitter, logits)
    _check_gradient(splitter)
    _check_independence(splitter, noise)
    _check_one_slot(splitter)
    _check_fields(splitter)
    _check_autocast(splitter, noise)


def _check_objects(splitter: BaseObjectSplitter, logits: Tensor) -> None:
    objects = splitter.split(SegOutput(logits)).logits
    num_images, num_classes, *size = logits.shape
    shape = tuple(objects.shape)
    kept = len(shape) == 4 and shape[0] == num_images and shape[1] % num_classes == 0 and list(shape[2:]) == size
    require(kept, splitter, 'shape of the split logits', shape, f'(N, K * C, H, W) with N, K = {logits.shape[:2]}')
    found = objects.unflatten(1, (num_classes, -1)) > 0
    for centre in CENTRES:
        disc = (_disc(centre) > 0).expand(num_images, num_classes, *size)
        slots = (found == disc[:, :, None]).flatten(3).all(dim=-1).sum(dim=-1)
        require(
            bool((slots == 1).all()),
            splitter,
            'a slot for each object',
            f'{slots.tolist()} slots by image and class in which the logits above 0 are exactly the object at {centre}',
            'one each, among the slots of its class',
        )
    taken = found.flatten(3).any(dim=-1).sum(dim=-1)
    require(
        bool((taken == len(CENTRES)).all()),
        splitter,
        'a slot for each object',
        f'{taken.tolist()} slots with a logit above 0 by image and class',
        f'{len(CENTRES)} each: a slot without an object has none',
    )


def _check_round_trip(splitter: BaseObjectSplitter, case: str, logits: Tensor) -> None:
    merged = splitter.merge(splitter.split(SegOutput(logits)), logits.shape[1]).logits
    found = tuple(merged.shape)
    require(found == tuple(logits.shape), splitter, f'shape of the merged logits, {case}', found, str(logits.shape))
    apart = float((merged.clamp(-CERTAIN, CERTAIN) - logits.clamp(-CERTAIN, CERTAIN)).abs().max())
    require(
        apart <= ROUNDING,
        splitter,
        f'merge(split(coarse)), {case}',
        f'logits that differ by {apart:.4g}',
        'the logits of coarse, in every pixel, also of components that get no slot',
    )


def _check_empty(splitter: BaseObjectSplitter, logits: Tensor) -> None:
    largest = float(splitter.split(SegOutput(logits)).logits.max())
    require(largest <= 0, splitter, 'empty mask', f'a slot with a logit of {largest:.4g}', 'no logit above 0')


def _check_gradient(splitter: BaseObjectSplitter) -> None:
    logits = _two_discs(2, 2).requires_grad_()
    objects = splitter.split(SegOutput(logits)).logits
    reached = torch.zeros_like(logits)
    if objects.requires_grad:
        (reached,) = torch.autograd.grad(objects[objects > 0].sum(), logits)
    least = float(reached[logits > 0].abs().min())
    require(
        least > 0,
        splitter,
        'gradient',
        'a pixel of an object whose coarse logit gets none',
        'a gradient from the logits of each object back to the coarse ones',
    )


def _check_independence(splitter: BaseObjectSplitter, logits: Tensor) -> None:
    together = splitter.split(SegOutput(logits)).logits
    for index in range(len(logits)):
        one = slice(index, index + 1)
        apart = float((splitter.split(SegOutput(logits[one])).logits - together[one]).abs().max())
        require(
            apart <= ROUNDING,
            splitter,
            'image independence',
            f'image {index} whose slots differ by {apart:.4g} when the others of its batch are left out',
            'the same slots: image i never influences image j',
        )


def _check_one_slot(splitter: BaseObjectSplitter) -> None:
    logits = _two_discs(2, 3)
    refined = splitter.split(SegOutput(logits)).logits.clone()
    of_class = refined.shape[1] // 3
    holds_object = refined[1].flatten(1).amax(dim=-1) > 0
    slot = of_class + int(holds_object[of_class : 2 * of_class].int().argmax())
    refined[1, slot] = CERTAIN
    expected = logits.clone()
    expected[1, 1] = CERTAIN
    apart = (splitter.merge(SegOutput(refined), 3).logits - expected).abs().amax(dim=(-2, -1))
    require(
        bool((apart <= ROUNDING).all()),
        splitter,
        'a refined slot changes its own class alone',
        f'differences {apart.tolist()} by image and class, from all of class 1 of image 1 found in one of its slots',
        'that class full, and every other one as it was',
    )


def _check_fields(splitter: BaseObjectSplitter) -> None:
    objects = F.interpolate(splitter.split(SegOutput(_two_discs(2, 2))).logits, size=(24, 32), mode='bilinear')
    slots = objects.shape[1]
    output = SegOutput(
        objects, torch.full((2, slots), 0.7), torch.zeros(2, slots, 3, 16, 16), torch.full((2, slots, 3), 0.7)
    )
    merged = splitter.merge(output, 2)
    shapes = {name: None if value is None else tuple(value.shape) for name, value in merged._asdict().items()}
    expected = dict(logits=(2, 2, 24, 32), quality=(2, 2), candidates=(2, 2, 3, 16, 16), candidate_quality=(2, 2, 3))
    require(shapes == expected, splitter, 'shapes after merge', shapes, str(expected))
    for name in ('quality', 'candidate_quality'):
        apart = float((getattr(merged, name) - 0.7).abs().max())
        require(apart <= ROUNDING, splitter, f'{name} after merge', f'{apart:.4g} off', '0.7, as every object says')


def _check_autocast(splitter: BaseObjectSplitter, logits: Tensor) -> None:
    logits = logits.bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        merged = splitter.merge(splitter.split(SegOutput(logits)), 2).logits
    apart = float((merged - logits).abs().max())
    require(
        apart <= ROUNDING, splitter, 'bfloat16', f'merged logits that differ by {apart:.4g}', 'the logits of coarse'
    )


def _two_discs(num_images: int, num_classes: int) -> Tensor:
    """Logits (N, K, H, W) with both discs in every slot."""
    logits = torch.maximum(*(_disc(centre) for centre in CENTRES))
    return logits.expand(num_images, num_classes, -1, -1).clone()


def _disc(centre: tuple[float, float]) -> Tensor:
    """Logits (H, W) in [-8, 4] of a disc that falls off over a few pixels."""
    height, width = SIZE
    y = torch.arange(height)[:, None] + 0.5 - centre[1] * height
    x = torch.arange(width) + 0.5 - centre[0] * width
    return (0.15 * min(SIZE) - (x.square() + y.square()).sqrt()).clamp(-8, 4)
