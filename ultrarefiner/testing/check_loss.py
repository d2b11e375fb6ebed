"""check_loss: does a stage loss keep its family's promises?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import BaseStageLoss
from ..registry import STAGE_LOSSES
from ..structures import SegOutput, Stages, StageTarget
from ..structures.stages import IGNORE_LABEL
from .contract_error import require
from .toy_masks import ellipse_logits

SIZE = (48, 40)
CONFIDENT = 8.0
EXTREME = 1e4


def check_loss(cfg: dict) -> None:
    """Hold a stage loss to the contract of `BaseStageLoss`.

    One finite value an image; a perfect mask costs less than an empty one and that less than an inverted one, for every
    image, also one without an object; a batch costs the mean of its images; gradient flows; ignored pixels have no
    influence and no gradient; extreme logits give finite values and gradients.

    A loss that ``reads_quality`` is asked for the order of the predicted quality instead of the masks: right before
    wrong. One that compares stages (it overrides ``per_image_of``) and says ``orders_masks = False`` is asked for the
    order of changes: none costs 0, and to invert a good coarse mask costs more than to invert a worse one.

    Args:
        cfg (dict): Config of the loss, with its ``stage``; its ``type`` may be a class.

    Raises:
        ContractError: At the first promise that is not kept.
    """
    loss = STAGE_LOSSES.build(cfg)
    for num_slots in (1, 2):
        labels = _labels(num_slots)
        _check_form(loss, labels, num_slots)
        for index, label in enumerate(labels):
            if loss.reads_quality:
                _check_quality_order(loss, label, num_slots, index)
            elif loss.orders_masks:
                _check_mask_order(loss, label, num_slots, index)
            elif _compares(loss):
                _check_change_order(loss, label, num_slots, index)
        _check_gradient(loss, labels, num_slots)
        _check_ignored(loss, labels, num_slots)
        _check_extreme(loss, labels, num_slots)


def _check_form(loss: BaseStageLoss, labels: list[Tensor], num_slots: int) -> None:
    output = _output(_random_logits(len(labels), num_slots))
    values = loss.per_image_of(_stages(loss, output, labels, num_slots), StageTarget(labels, num_slots)).detach()
    require(
        tuple(values.shape) == (len(labels),) and bool(values.isfinite().all()),
        loss,
        'per_image',
        values,
        f'one finite value for each of the {len(labels)} images, shape (N, )',
    )
    together = float(_value(loss, output, labels, num_slots))
    alone = [
        float(_value(loss, output.select(slice(i, i + 1)), labels[i : i + 1], num_slots)) for i in range(len(labels))
    ]
    mean = sum(alone) / len(alone)
    require(
        abs(together - mean) <= 1e-4 * max(1, abs(mean)),
        loss,
        'batch equals the mean of its images',
        f'{together:.6g} for the batch, {mean:.6g} for the mean',
        'equal values: reduce within each image first, then average over images',
    )


def _check_mask_order(loss: BaseStageLoss, label: Tensor, num_slots: int, index: int) -> None:
    perfect = _perfect_logits(label, num_slots)
    cases = dict(perfect=perfect, empty=torch.full_like(perfect, -CONFIDENT), inverted=-perfect)
    costs = {name: float(_value(loss, _output(logits), [label], num_slots)) for name, logits in cases.items()}
    without_object = not bool(((label > 0) & (label != IGNORE_LABEL)).any())
    # Without an object the empty mask is the perfect one.
    kept = (costs['perfect'] < costs['empty'] or without_object) and costs['empty'] < costs['inverted']
    require(
        kept,
        loss,
        f'order of the masks, image {index} of {num_slots} slot(s)',
        {name: f'{cost:.8g}' for name, cost in costs.items()},
        'perfect < empty < inverted',
    )


def _check_quality_order(loss: BaseStageLoss, label: Tensor, num_slots: int, index: int) -> None:
    logits = _perfect_logits(label, num_slots)
    right, wrong = (float(_value(loss, _output(logits, quality), [label], num_slots)) for quality in (1.0, 0.0))
    require(
        right < wrong,
        loss,
        f'order of the predicted quality, image {index} of {num_slots} slot(s)',
        f'{right:.6g} for IoU 1 and {wrong:.6g} for IoU 0 predicted on a perfect mask',
        'the right prediction to cost less than the wrong one',
    )


def _check_change_order(loss: BaseStageLoss, label: Tensor, num_slots: int, index: int) -> None:
    good = _perfect_logits(label, num_slots)
    worse = good.clone()
    worse[..., : SIZE[0] // 3, :] *= -1
    changes = {'none': (good, good), 'a good mask': (good, -good), 'a worse mask': (worse, -worse)}
    target = StageTarget([label], num_slots)
    costs = {
        name: float(loss(Stages(_output(coarse), None, _output(refined)), target))
        for name, (coarse, refined) in changes.items()
    }
    require(
        costs['none'] == 0 and costs['a good mask'] > costs['a worse mask'] >= 0,
        loss,
        f'order of the changes, image {index} of {num_slots} slot(s)',
        {name: f'{cost:.8g}' for name, cost in costs.items()},
        '0 for no change, and more for a good mask inverted than for a worse one inverted',
    )


def _check_gradient(loss: BaseStageLoss, labels: list[Tensor], num_slots: int) -> None:
    output = _output(_random_logits(len(labels), num_slots), requires_grad=True)
    norms = [
        gradient.flatten(1).norm(dim=1)
        for gradient in _gradients(loss, output, labels, num_slots)
        if gradient is not None
    ]
    reached = torch.stack(norms).sum(dim=0) if norms else torch.zeros(len(labels))
    require(
        bool((reached > 0).all()),
        loss,
        'gradient',
        f'norms {reached.tolist()} by image',
        'a gradient above 0 at the logits (or the predicted quality) of every image',
    )


def _check_ignored(loss: BaseStageLoss, labels: list[Tensor], num_slots: int) -> None:
    striped = [label.clone() for label in labels]
    for label in striped:
        label[10:20] = IGNORE_LABEL
    logits = _random_logits(len(labels), num_slots)
    output = _output(logits, requires_grad=True)
    gradient = _gradients(loss, output, striped, num_slots)[0]
    largest = 0.0 if gradient is None else float(gradient[..., 10:20, :].abs().max())
    require(
        largest == 0, loss, 'ignored pixels', f'a gradient of up to {largest:.4g} at them', 'no gradient at label 255'
    )
    changed = logits.clone()
    changed[..., 10:20, :] *= -3
    before, after = (float(_value(loss, _output(values), striped, num_slots)) for values in (logits, changed))
    require(
        abs(before - after) <= 1e-6 * max(1, abs(before)),
        loss,
        'ignored pixels',
        f'{before:.6g} and {after:.6g} for two predictions that differ only there',
        'the same loss: multiply with the weight of StageTarget.at and divide by what counts',
    )


def _check_extreme(loss: BaseStageLoss, labels: list[Tensor], num_slots: int) -> None:
    perfect = torch.cat([_perfect_logits(label, num_slots) for label in labels]).sign() * EXTREME
    for name, logits in dict(perfect=perfect, inverted=-perfect).items():
        output = _output(logits, requires_grad=True)
        value = _value(loss, output, labels, num_slots)
        gradients = [gradient for gradient in _gradients(loss, output, labels, num_slots) if gradient is not None]
        finite = bool(value.isfinite()) and all(bool(gradient.isfinite().all()) for gradient in gradients)
        require(
            finite,
            loss,
            f'extreme logits of plus and minus {EXTREME:g}, {name} mask',
            f'loss {value.item()}, or a gradient of nan or infinity',
            'finite values; compute from logits (logsigmoid), not from log(sigmoid)',
        )


def _labels(num_slots: int) -> list[Tensor]:
    """Two images with an object of every class, and one without any; (H, W) integers each."""
    logits = ellipse_logits(2, num_slots, SIZE)
    best, index = logits.max(dim=1)
    labels = torch.where(best > 0, index + 1, 0)
    return [*labels, torch.zeros_like(labels[0])]


def _perfect_logits(label: Tensor, num_slots: int) -> Tensor:
    """Confident one-vs-rest logits (1, K, H, W) of a label map."""
    classes = torch.arange(1, num_slots + 1).view(1, -1, 1, 1)
    return torch.where(label == classes, CONFIDENT, -CONFIDENT)


def _random_logits(num_images: int, num_slots: int) -> Tensor:
    return torch.randn(num_images, num_slots, *SIZE, generator=torch.Generator().manual_seed(0))


def _output(logits: Tensor, quality: float = 0.3, requires_grad: bool = False) -> SegOutput:
    """A stage whose three candidates are its mask, with the same predicted quality."""
    logits = logits.clone().requires_grad_(requires_grad)
    shape = logits.shape[:2]
    return SegOutput(
        logits,
        torch.full(shape, quality, requires_grad=requires_grad),
        logits[:, :, None].expand(-1, -1, 3, -1, -1),
        torch.full((*shape, 3), quality, requires_grad=requires_grad),
    )


def _compares(loss: BaseStageLoss) -> bool:
    return type(loss).per_image_of is not BaseStageLoss.per_image_of


def _stages(loss: BaseStageLoss, output: SegOutput, labels: list[Tensor], num_slots: int) -> Stages:
    """The stage that is judged; a loss that compares gets a perfect other one."""
    if not _compares(loss):
        return Stages(output, None, output)
    perfect = _output(torch.cat([_perfect_logits(label, num_slots) for label in labels]))
    return Stages(output, None, perfect) if loss.stage == 'coarse' else Stages(perfect, None, output)


def _value(loss: BaseStageLoss, output: SegOutput, labels: list[Tensor], num_slots: int) -> Tensor:
    return loss(_stages(loss, output, labels, num_slots), StageTarget(labels, num_slots))


def _gradients(loss: BaseStageLoss, output: SegOutput, labels: list[Tensor], num_slots: int) -> list[Tensor | None]:
    """The gradients at the logits, the quality and the candidates' quality; None where the loss does not read them."""
    value = _value(loss, output, labels, num_slots)
    if not value.requires_grad:
        return [None, None, None]
    inputs = [output.logits, output.quality, output.candidate_quality]
    return list(torch.autograd.grad(value, inputs, allow_unused=True))
