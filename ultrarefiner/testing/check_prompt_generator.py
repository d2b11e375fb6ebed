"""check_prompt_generator: does a prompt generator keep its family's promises?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import BasePromptGenerator
from ..registry import PROMPT_GENERATORS
from ..structures import Prompts, SegOutput
from .contract_error import require
from .toy_masks import degenerate_logits, ellipse_logits, random_images

BATCHES = ((1, 1), (3, 1), (2, 4))
ROUNDING = 1e-4
RESIZE_TOLERANCE = 0.01
TRAINING_DRAWS = 4
BACKGROUND = 0.01


def check_prompt_generator(cfg: dict) -> None:
    """Hold a prompt generator to the contract of `BasePromptGenerator`.

    Declared kinds are produced, in training at least one of them; shapes fit N images and K slots; coordinates lie in
    [0, 1]; every weight of its own gets a gradient in every training step. In evaluation: the same prompts twice;
    gradient reaches the coarse logits exactly if ``differentiable``; image i does not influence image j; a horizontal
    flip mirrors x; doubling the size leaves the coordinates; an empty, a full and a one-pixel mask give finite prompts
    and gradients, and the empty one is not valid; a background probability of 0.01 moves nothing by more than
    ``background_bound``; half precision gives finite prompts.

    Args:
        cfg (dict): Config of the generator; its ``type`` may be a class.

    Raises:
        ContractError: At the first promise that is not kept.
    """
    generator = PROMPT_GENERATORS.build(cfg)
    generator.train()
    # A generator may draw at random in training: the check looks at several draws, and leaves the state as it was.
    with torch.random.fork_rng(devices=[]):
        for seed in range(TRAINING_DRAWS):
            torch.manual_seed(seed)
            for num_images, num_slots in BATCHES:
                _check_form(generator, num_images, num_slots)
            _check_parameters(generator)
    generator.eval()
    for num_images, num_slots in BATCHES:
        _check_form(generator, num_images, num_slots)
    _check_deterministic(generator)
    _check_gradient(generator)
    _check_independence(generator)
    _check_flip(generator)
    _check_resize(generator)
    for name, logits in {**degenerate_logits(), **_mild_degenerate()}.items():
        _check_degenerate(generator, name, logits)
    _check_background(generator)
    _check_autocast(generator)


def _check_form(generator: BasePromptGenerator, num_images: int, num_slots: int) -> None:
    prompts = _run(generator, ellipse_logits(num_images, num_slots))
    if generator.training:
        kept, expectation = bool(prompts.kinds) and prompts.kinds <= generator.produces, 'in training some or all of'
    else:
        kept, expectation = prompts.kinds == generator.produces, 'exactly'
    require(
        kept,
        generator,
        'declared kinds',
        sorted(prompts.kinds),
        f'{expectation} what `produces` declares: {sorted(generator.produces)}',
    )
    shape = (num_images, num_slots)
    for kind in (*sorted(prompts.kinds), 'valid'):
        value = getattr(prompts, kind)
        found = None if value is None else tuple(value.shape)
        require(
            found is not None and found[:2] == shape,
            generator,
            f'shape of {kind}',
            found,
            f'(N, K) = {shape} in front',
        )
    require(
        prompts.valid.dtype == torch.bool and bool(prompts.valid.all()),
        generator,
        'valid',
        prompts.valid.tolist(),
        'True for every slot that holds an object',
    )
    _check_values(generator, prompts, 'ellipses')


def _check_values(generator: BasePromptGenerator, prompts: Prompts, case: str) -> None:
    for kind in sorted(prompts.kinds):
        value = getattr(prompts, kind).detach()
        require(bool(value.isfinite().all()), generator, f'finite {kind}, {case}', value, 'finite values')
        if kind != 'masks':
            outside = (value < -ROUNDING) | (value > 1 + ROUNDING)
            require(
                not bool(outside.any()),
                generator,
                f'range of {kind}, {case}',
                value[outside].tolist(),
                'normalised coordinates in [0, 1]',
            )
    if 'boxes' in prompts.kinds:
        x0, y0, x1, y1 = prompts.boxes.detach().unbind(dim=-1)
        require(
            bool(((x0 <= x1) & (y0 <= y1)).all()),
            generator,
            f'order of the box corners, {case}',
            prompts.boxes.tolist(),
            '(x0, y0, x1, y1) with x0 <= x1 and y0 <= y1',
        )
    if 'points' in prompts.kinds:
        labels = prompts.point_labels
        known = (labels >= -1) & (labels <= 1) & (not labels.is_floating_point())
        require(
            bool(known.all()),
            generator,
            f'point labels, {case}',
            labels.tolist(),
            'integers: 1 object, 0 background, -1 padding',
        )


def _check_parameters(generator: BasePromptGenerator) -> None:
    trainable = {name: weight for name, weight in generator.named_parameters() if weight.requires_grad}
    if not trainable:
        return
    signal = _signal(_run(generator, ellipse_logits(2, 1)))
    gradients = (
        torch.autograd.grad(signal, list(trainable.values()), allow_unused=True)
        if signal.requires_grad
        else [None] * len(trainable)
    )
    missing = [name for name, gradient in zip(trainable, gradients) if gradient is None]
    require(
        not missing,
        generator,
        'every trainable parameter gets a gradient',
        f'none for {missing} in a training step',
        'a gradient, be it 0, in every step: distributed training waits for it',
    )


def _check_deterministic(generator: BasePromptGenerator) -> None:
    first, second = (_run(generator, ellipse_logits(2, 2)) for _ in range(2))
    _require_still(generator, 'evaluation is deterministic', first, second, 0.0, 'the same prompts twice')


def _check_gradient(generator: BasePromptGenerator) -> None:
    logits = ellipse_logits(2, 2, inside=2.0).requires_grad_()
    signal = _signal(_run(generator, logits))
    if not generator.differentiable:
        require(
            not signal.requires_grad,
            generator,
            'no gradient',
            'prompts that require a gradient',
            'detached prompts, because `differentiable` is False',
        )
        return
    require(
        signal.requires_grad,
        generator,
        'gradient',
        'prompts without a gradient',
        'a gradient that reaches coarse.logits; else declare differentiable = False and detach',
    )
    (gradient,) = torch.autograd.grad(signal, logits, allow_unused=True)
    norms = torch.zeros(2, 2) if gradient is None else gradient.flatten(2).norm(dim=-1)
    require(
        bool((norms > 0).all() and norms.isfinite().all()),
        generator,
        'gradient',
        f'norms {norms.tolist()} by image and slot',
        'a finite gradient above 0 at the coarse logits of every image and slot',
    )


def _check_independence(generator: BasePromptGenerator) -> None:
    logits = ellipse_logits(3, 2)
    together = _run(generator, logits)
    for index in range(3):
        alone = generator(SegOutput(logits[index : index + 1]), random_images([(40, 56)] * 3)[index : index + 1])
        moved = max(_distances(together[index : index + 1], alone).values())
        require(
            moved <= ROUNDING,
            generator,
            'image independence',
            f'image {index} moves by {moved:.4g} when the others of its batch are left out',
            'the same prompts: image i never influences image j',
        )


def _check_flip(generator: BasePromptGenerator) -> None:
    logits = ellipse_logits(2, 2)
    images = random_images([(40, 56)] * 2)
    mirrored = _mirror(generator(SegOutput(logits), images))
    flipped = generator(SegOutput(logits.flip(-1)), [image.flip(-1) for image in images])
    _require_still(generator, 'horizontal flip', mirrored, flipped, ROUNDING, 'x mirrored to 1 - x, and y as it was')


def _check_resize(generator: BasePromptGenerator) -> None:
    logits = ellipse_logits(2, 2)
    doubled = logits.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    before = _run(generator, logits).keep(frozenset({'points', 'boxes'}))
    after = _run(generator, doubled).keep(frozenset({'points', 'boxes'}))
    _require_still(
        generator, 'resize', before, after, RESIZE_TOLERANCE, 'the same normalised coordinates at twice the size'
    )


def _check_degenerate(generator: BasePromptGenerator, name: str, logits: Tensor) -> None:
    logits = logits.requires_grad_()
    prompts = _run(generator, logits)
    _check_values(generator, prompts, f'{name} mask')
    if name.startswith('empty'):
        require(
            prompts.valid is not None and not bool(prompts.valid.any()),
            generator,
            f'valid, {name} mask',
            prompts.valid,
            'False where there is nothing to refine',
        )
    signal = _signal(prompts)
    if signal.requires_grad:
        (gradient,) = torch.autograd.grad(signal, logits, allow_unused=True)
        require(
            gradient is None or bool(gradient.isfinite().all()),
            generator,
            f'finite gradient, {name} mask',
            'nan or infinity',
            'a finite gradient; guard divisions and square roots before they are computed, not after',
        )


def _check_background(generator: BasePromptGenerator) -> None:
    clean = _run(generator, ellipse_logits(2, 2))
    leaking = _run(generator, ellipse_logits(2, 2, background=BACKGROUND))
    bound = generator.background_bound
    _require_still(
        generator,
        f'background probability {BACKGROUND}',
        clean,
        leaking,
        bound + ROUNDING,
        f'at most background_bound = {bound}; take away a floor before weighting with probabilities',
    )


def _check_autocast(generator: BasePromptGenerator) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            prompts = _run(generator, ellipse_logits(2, 2).to(dtype))
        _check_values(generator, prompts, f'bfloat16 autocast with {dtype} logits')


def _run(generator: BasePromptGenerator, logits: Tensor) -> Prompts:
    return generator(SegOutput(logits), random_images([(40, 56)] * len(logits)))


def _mild_degenerate() -> dict[str, Tensor]:
    """The degenerate masks with logits that do not saturate float32."""
    return {f'{name} (soft)': logits for name, logits in degenerate_logits(magnitude=8.0).items()}


def _signal(prompts: Prompts) -> Tensor:
    """A scalar to which every coordinate and mask pixel contributes differently, so that nothing cancels."""
    values = torch.cat([getattr(prompts, kind).flatten() for kind in sorted(prompts.kinds)])
    return (values * torch.linspace(0.5, 1.5, len(values))).sum()


def _mirror(prompts: Prompts) -> Prompts:
    """The prompts of the horizontally flipped image."""
    points, boxes, masks = prompts.points, prompts.boxes, prompts.masks
    if points is not None:
        points = torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)
    if boxes is not None:
        x0, y0, x1, y1 = boxes.unbind(dim=-1)
        boxes = torch.stack([1 - x1, y0, 1 - x0, y1], dim=-1)
    return Prompts(points, prompts.point_labels, boxes, None if masks is None else masks.flip(-1), prompts.valid)


def _require_still(
    generator: BasePromptGenerator, promise: str, before: Prompts, after: Prompts, bound: float, expectation: str
) -> None:
    for kind, moved in _distances(before, after).items():
        require(moved <= bound, generator, promise, f'{kind} that move by {moved:.4g}', expectation)


def _distances(before: Prompts, after: Prompts) -> dict[str, float]:
    """How far the prompts are apart: coordinates normalised, masks as probabilities; valid as 0 or 1."""
    moved = {'valid': float((before.valid != after.valid).any())}
    if before.points is not None:
        # As sets: a generator of several points may order them as it likes. A padding point is nowhere.
        ours, theirs = _as_set(before), _as_set(after)
        apart = (ours[:, :, :, None] - theirs[:, :, None]).abs().amax(dim=-1)
        moved['points'] = float(torch.maximum(apart.amin(dim=-1).amax(), apart.amin(dim=-2).amax()))
    if before.boxes is not None:
        moved['boxes'] = float((before.boxes - after.boxes).detach().abs().max())
    if before.masks is not None:
        moved['masks'] = float((before.masks.sigmoid() - after.masks.sigmoid()).detach().abs().max())
    return moved


def _as_set(prompts: Prompts) -> Tensor:
    labels = prompts.point_labels[..., None]
    return torch.cat([prompts.points.detach() * (labels != -1), labels.to(prompts.points.dtype)], dim=-1)
