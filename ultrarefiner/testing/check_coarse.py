"""check_coarse: can a network be the coarse network?"""

from __future__ import annotations

import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..registry import MODELS
from ..structures import SegOutput
from .contract_error import require
from .toy_masks import ellipse_logits, random_images

IMAGE_SIZES = ((40, 56), (64, 48), (33, 33))
TOLERANCE = 1e-3


def check_coarse(cfg: dict, coarse_input: dict) -> None:
    """Hold a segmentor to what `CoarseToFine` asks of its coarse network.

    It takes the images that ``coarse_input`` prepares; ``mode='tensor'`` gives finite logits, one channel for each of
    ``out_channels``; there is no auxiliary head; a batch of images of different sizes equals its images one by one;
    evaluation is deterministic; every trainable parameter gets gradient, in a batch of one image too, which the last
    one of an epoch may be; half precision gives finite logits.

    Args:
        cfg (dict): Config of the coarse network; a ``name`` in it is left out, as `load_config` does. Choose a small
            one: it runs some 10 times.
        coarse_input (dict): Its `InputProfile`, as in ``model.coarse_input``.

    Raises:
        ContractError: At the first promise that is not kept.
        ValueError: If `CoarseToFine` refuses it, with an auxiliary head for example.
    """
    cfg = {key: value for key, value in cfg.items() if key != 'name'}
    with DefaultScope.overwrite_default_scope('ultrarefiner'):
        model = MODELS.build(dict(type='CoarseToFine', coarse=cfg, coarse_input=coarse_input))
    coarse = model.coarse
    require(
        isinstance(getattr(coarse, 'out_channels', None), int),
        coarse,
        'out_channels',
        getattr(coarse, 'out_channels', 'no such attribute'),
        'the number of channels of its logits, as the segmentors of mmseg have it',
    )
    model.eval()
    with torch.no_grad():
        _check_form(model)
        _check_batch(model)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            logits = _run(model).logits
        require(bool(logits.isfinite().all()), coarse, 'bfloat16 autocast', 'nan or infinity', 'finite logits')
    for num_images in (1, 3):
        _check_gradient(model, num_images)


def _check_form(model: nn.Module) -> None:
    images, samples = _inputs(model)
    batch, _ = model.coarse_input.prepare(images)
    try:
        logits = model.coarse(batch, samples, mode='tensor')
    except RuntimeError as error:
        require(
            False,
            model.coarse,
            'input',
            error,
            f'a network for {batch.shape[1]} channel(s) of {tuple(batch.shape[-2:])} pixels, which coarse_input makes: '
            'in_channels=1 where grey=True, else 3',
        )
    leading = (len(images), model.coarse.out_channels)
    require(
        isinstance(logits, Tensor) and logits.ndim == 4 and tuple(logits.shape[:2]) == leading,
        model.coarse,
        "logits of mode='tensor'",
        tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__,
        f'a tensor (N, C, h, w) with (N, C) = {leading}',
    )
    require(bool(logits.isfinite().all()), model.coarse, 'finite logits', 'nan or infinity', 'finite logits')
    found, expected = tuple(_run(model).logits.shape), (len(images), model.num_slots, *model.coarse_input.size)
    require(found == expected, model.coarse, 'slots', found, f'(N, K, H, W) = {expected}, one slot a foreground class')


def _check_batch(model: nn.Module) -> None:
    together = _run(model).logits
    again = float((together - _run(model).logits).abs().max())
    require(again == 0, model.coarse, 'evaluation is deterministic', f'a difference of {again:.4g}', 'the same twice')
    images, samples = _inputs(model)
    bound = TOLERANCE * max(1.0, float(together.abs().max()))
    for index in range(len(images)):
        one = slice(index, index + 1)
        apart = float((together[one] - model.run_coarse(images[one], samples[one]).logits).abs().max())
        require(
            apart <= bound,
            model.coarse,
            'batch equals its images one by one',
            f'image {index} that differs by {apart:.4g}',
            f'at most {bound:.4g}: in evaluation nothing may cross images',
        )


def _check_gradient(model: nn.Module, num_images: int) -> None:
    model.train()
    trainable = {name: weight for name, weight in model.coarse.named_parameters() if weight.requires_grad}
    case = f'gradient, batch of {num_images}'
    try:
        loss = _run(model, num_images).logits.square().mean()
    except ValueError as error:
        require(False, model.coarse, case, error, 'a training step: batch normalisation needs more than one value')
    if not trainable:
        return
    gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    silent = [name for name, gradient in zip(trainable, gradients) if gradient is None]
    require(not silent, model.coarse, case, f'none at {silent}', 'a gradient at every trainable weight')


def _inputs(model: nn.Module, num_images: int = len(IMAGE_SIZES)) -> tuple[list[Tensor], list[SegDataSample]]:
    """Images of different sizes, with a stored prediction for `PrecomputedCoarse`."""
    images = random_images(list(IMAGE_SIZES[:num_images]))
    stored = ellipse_logits(num_images, model.num_slots).sigmoid()
    return images, [SegDataSample(coarse_probability=PixelData(data=probability)) for probability in stored]


def _run(model: nn.Module, num_images: int = len(IMAGE_SIZES)) -> SegOutput:
    return model.run_coarse(*_inputs(model, num_images))
