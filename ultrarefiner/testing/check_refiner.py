"""check_refiner: does a refiner keep its family's promises?"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ..interfaces import BaseRefiner
from ..registry import REFINERS
from ..structures import Prompts, SegOutput
from ..structures.prompts import KINDS
from .contract_error import ContractError, require
from .toy_masks import ellipse_logits, random_images, toy_prompts

IMAGE_SIZES = ((40, 56), (64, 48), (33, 33))
BATCHES = ((1, 1), (3, 1), (2, 2))
SIZES = ((32, 32), (40, 56))
TOLERANCE = 1e-3


def check_refiner(cfg: dict) -> None:
    """Hold a refiner to the contract of `BaseRefiner`.

    It takes every prompt kind that it declares, alone and all together; shapes fit N images of different sizes, K slots
    and any size asked for; a batch equals its images one by one; evaluation is deterministic; the coordinates of
    padding points do not matter; after ``freeze_unused`` every trainable parameter takes part in the loss; half
    precision gives finite masks.

    Args:
        cfg (dict): Config of the refiner; its ``type`` may be a class. Choose a small one: it runs some 20 times.

    Raises:
        ContractError: At the first promise that is not kept.
    """
    refiner = REFINERS.build(cfg)
    require(
        bool(refiner.accepts) and refiner.accepts <= set(KINDS),
        refiner,
        'declared kinds',
        sorted(refiner.accepts),
        f'some of {", ".join(KINDS)} in `accepts`',
    )
    fresh = copy.deepcopy(refiner)
    refiner.eval()
    with torch.no_grad():
        for num_images, num_slots in BATCHES:
            for size in SIZES:
                _check_shapes(refiner, num_images, num_slots, size)
        for kinds in _subsets(refiner):
            _check_finite(refiner, _run(refiner, 2, 1, kinds), f'prompts {sorted(kinds)}')
        _check_deterministic(refiner)
        _check_batch(refiner)
        if 'points' in refiner.accepts:
            _check_padding(refiner)
        _check_autocast(refiner)
    for kinds in _subsets(refiner):
        for quality_used in (False, True):
            _check_parameters(copy.deepcopy(fresh), kinds, quality_used)


def _check_shapes(refiner: BaseRefiner, num_images: int, num_slots: int, size: tuple[int, int]) -> None:
    output = _run(refiner, num_images, num_slots, refiner.accepts, size)
    leading = (num_images, num_slots)
    shapes = {name: None if value is None else tuple(value.shape) for name, value in output._asdict().items()}
    expected = dict(logits=(*leading, *size), quality=leading)
    for name, shape in expected.items():
        if name == 'quality' and shapes[name] is None:
            continue
        require(shapes[name] == shape, refiner, f'shape of {name}', shapes[name], str(shape))
    require(
        (shapes['quality'] is not None) == refiner.predicts_quality,
        refiner,
        'predicted quality',
        f'quality of shape {shapes["quality"]}',
        f'some exactly if predicts_quality, which is {refiner.predicts_quality}',
    )
    candidates, quality = shapes['candidates'], shapes['candidate_quality']
    if candidates is not None:
        require(
            len(candidates) == 5 and candidates[:2] == leading,
            refiner,
            'shape of candidates',
            candidates,
            f'(N, K, M, h, w) with (N, K) = {leading}',
        )
    if quality is not None:
        require(
            candidates is not None and quality == candidates[:3],
            refiner,
            'shape of candidate_quality',
            quality,
            f'(N, K, M) of the candidates {candidates}',
        )
    _check_finite(refiner, output, f'N={num_images}, K={num_slots}, size={size}')


def _check_finite(refiner: BaseRefiner, output: SegOutput, case: str) -> None:
    for name, value in output._asdict().items():
        if value is not None:
            require(bool(value.isfinite().all()), refiner, f'finite {name}, {case}', 'nan or infinity', 'finite values')


def _check_batch(refiner: BaseRefiner) -> None:
    images, coarse, prompts = _inputs(3, 2, refiner.accepts)
    together = refiner(images, coarse, prompts, SIZES[0])
    for index in range(3):
        one = slice(index, index + 1)
        alone = refiner(images[one], coarse.select(one), prompts[one], SIZES[0])
        apart = _apart(together.select(one), alone)
        require(
            apart <= TOLERANCE,
            refiner,
            'batch equals its images one by one',
            f'image {index} that differs by {apart:.4g}',
            f'at most {TOLERANCE}: no normalisation or prompt may cross images',
        )


def _check_deterministic(refiner: BaseRefiner) -> None:
    apart = _apart(_run(refiner, 2, 2, refiner.accepts), _run(refiner, 2, 2, refiner.accepts))
    require(apart == 0, refiner, 'evaluation is deterministic', f'a difference of {apart:.4g}', 'the same result twice')


def _check_padding(refiner: BaseRefiner) -> None:
    images, coarse, prompts = _inputs(2, 1, frozenset({'points'}))
    is_padding = (prompts.point_labels == -1)[..., None]
    moved = replace(prompts, points=torch.where(is_padding, 0.1, prompts.points))
    apart = _apart(refiner(images, coarse, prompts, SIZES[0]), refiner(images, coarse, moved, SIZES[0]))
    require(
        apart <= TOLERANCE,
        refiner,
        'padding points',
        f'a difference of {apart:.4g} when only a point with label -1 moves',
        'no influence of its coordinates',
    )


def _check_autocast(refiner: BaseRefiner) -> None:
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = _run(refiner, 2, 1, refiner.accepts)
    _check_finite(refiner, output, 'bfloat16 autocast')


def _check_parameters(refiner: BaseRefiner, kinds: frozenset, quality_used: bool) -> None:
    refiner.freeze_unused(kinds, quality_used)
    refiner.train()
    output = _run(refiner, 2, 1, kinds)
    read = [output.logits]
    if quality_used:
        read += [value for value in (output.quality, output.candidate_quality) if value is not None]
    trainable = {name: parameter for name, parameter in refiner.named_parameters() if parameter.requires_grad}
    if not trainable:
        return
    loss = sum(value.float().square().mean() for value in read)
    gradients = (
        torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
        if loss.requires_grad
        else [None] * len(trainable)
    )
    missing = [name for name, gradient in zip(trainable, gradients) if gradient is None]
    require(
        not missing,
        refiner,
        f'every trainable parameter gets a gradient, prompts {sorted(kinds)}, quality_used={quality_used}',
        missing,
        'none left out: freeze_unused freezes what the given prompts and losses do not reach',
    )


def _subsets(refiner: BaseRefiner) -> list[frozenset]:
    """Every declared kind alone, and all together."""
    alone = [frozenset({kind}) for kind in sorted(refiner.accepts)]
    return alone if len(alone) == 1 else [*alone, refiner.accepts]


def _inputs(num_images: int, num_slots: int, kinds: frozenset) -> tuple[list[Tensor], SegOutput, Prompts]:
    images = random_images(list(IMAGE_SIZES[:num_images]))
    return images, SegOutput(ellipse_logits(num_images, num_slots)), toy_prompts(num_images, num_slots, kinds)


def _run(
    refiner: BaseRefiner, num_images: int, num_slots: int, kinds: frozenset, size: tuple[int, int] = SIZES[0]
) -> SegOutput:
    try:
        return refiner(*_inputs(num_images, num_slots, kinds), size)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        given = f'{num_images} images, {num_slots} slot(s), the prompts {sorted(kinds)} and the size {size}'
        raise ContractError(
            refiner,
            f'a result for {given}',
            f'{type(error).__name__}: {error}',
            'a result for any of the kinds in `accepts`, alone or together: one that is not given is None',
        ) from error


def _apart(ours: SegOutput, theirs: SegOutput) -> float:
    pairs = ((ours.logits, theirs.logits), (ours.quality, theirs.quality))
    return max(float((a - b).abs().max()) for a, b in pairs if a is not None)
