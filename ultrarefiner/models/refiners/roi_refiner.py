"""ROIRefiner: a refiner that sees a crop around the object instead of the whole image."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from ...registry import PROMPT_GENERATORS, REFINERS
from ...structures import ImageEmbedding, Prompts, SegOutput, crop_maps
from ...utils.resize_logits import resize_logits
from .refiner_wrapper import RefinerWrapper
from .roi_windows import object_windows, paste_maps


@REFINERS.register_module()
class ROIRefiner(RefinerWrapper):
    """Crops each slot's object from the original pixels, refines the crop, and pastes the result back.

    The window is a square in pixels of the image around the pixels of coarse probability above 0.5: moved into the
    image where it leaves it, and cut only where the image is smaller. So the aspect is kept, and a small object fills
    the input of the held refiner. A slot without an object, or not valid, gets the whole image. No gradient flows
    through the place of the window: a crop that carries it runs back through the image encoder, frozen or not, for
    some 2.6 times the cost of a step.

    Prompts and coarse logits are carried into the window; a point outside becomes padding, a box is clipped. Outside of
    the window the coarse logits stay, and over a rim inside of it both are mixed. At the image's own size the window is
    aligned to the pixels of the result, so crop and paste change nothing; at another size the held refiner decodes the
    window at that size, and pasting resamples it bilinearly: where the slope of the logits jumps by s a pixel of that
    grid along an axis, a logit is off by at most s / 4, and elsewhere by nothing.

    The images are encoded in `decode`, N * K crops at once, because the window is not known before; an embedding of
    them cannot be kept for later. To feed a mask back several times, put the `IterativeRefiner` inside.

    Args:
        refiner (dict): Config of the refiner that sees the crops.
        margin (float): Added to the box of the object on every side, as a share of its longer side. Defaults to 0.5.
        min_size (int): Smallest side of the window in pixels of the image. Defaults to 64.
        feather (float): Width of the rim over which coarse and refined logits are mixed, as a share of the window's
            longer side. Defaults to 0.05.
        init_cfg (dict, optional): mmengine's.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        refiner: dict,
        margin: float = 0.5,
        min_size: int = 64,
        feather: float = 0.05,
        init_cfg: dict | None = None,
    ):
        super().__init__(refiner, init_cfg)
        if margin < 0 or min_size < 1 or not 0 <= feather < 0.5:
            raise ValueError(
                f'ROIRefiner: margin is {margin}, min_size {min_size} and feather {feather}, expected margin >= 0, '
                'min_size >= 1 and 0 <= feather < 0.5'
            )
        self.margin = margin
        self.min_size = min_size
        self.feather = feather
        self.box = PROMPT_GENERATORS.build(dict(type='ThresholdBox'))

    @property
    def cached_encoder(self) -> None:
        """None: what is encoded are crops, which move from step to step."""
        return None

    def encode_image(self, images: list[Tensor]) -> ImageEmbedding:
        """Keep the images for `decode`, which knows what to crop.

        Args:
            images (list[Tensor]): N images (3, H_i, W_i), RGB, uint8, at their original sizes.

        Returns:
            ImageEmbedding: Without features, (N, 0, 1, 1); ``content`` holds the sizes of the images.
        """
        sizes = torch.tensor([image.shape[-2:] for image in images], device=images[0].device)
        features = sizes.new_zeros(len(images), 0, 1, 1, dtype=torch.float32)
        return ImageEmbedding(features, sizes, images=tuple(images))

    def decode(
        self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts, size: tuple[int, int]
    ) -> SegOutput:
        """Crop, encode, refine and paste.

        Args:
            embedding (ImageEmbedding): Of the N images.
            coarse (SegOutput): Logits (N, K, h, w).
            prompts (Prompts): Normalised coordinates.
            size (tuple[int, int]): (H, W) in pixels of the logits wanted, covering the whole image.

        Returns:
            SegOutput: ``logits`` (N, K, H, W); where the held refiner gives them, ``quality`` (N, K), that of the mask
            in the window, and ``candidates`` (N, K, M, H, W), pasted too, with ``candidate_quality``.
        """
        slots = coarse.logits.shape[1]
        windows = self._windows(embedding, coarse, prompts)
        # From here on every slot is an image of its own, (N * K, 1, ...).
        image_sizes = embedding.content.repeat_interleave(slots, dim=0)
        coarse = SegOutput(coarse.logits.flatten(0, 1)[:, None])
        normalised = windows / image_sizes.flip(-1).repeat(1, 2)[:, None]
        cropped = _crop(_one_slot_each(prompts), normalised)
        images = [image for image in embedding.images for _ in range(slots)]
        # Slicing needs the numbers, hence the one wait for a GPU.
        crops = [image[:, y0:y1, x0:x1] for image, ((x0, y0, x1, y1),) in zip(images, windows.tolist())]
        seen = self.refiner.encode_image(crops)

        # At the image's own size a window is decoded at its own pixels, else at the size wanted, in one batch.
        wanted = [
            tuple(crop.shape[-2:]) if tuple(image.shape[-2:]) == tuple(size) else tuple(size)
            for image, crop in zip(images, crops)
        ]
        parts = []
        for window_size, group in groupby(range(len(crops)), key=wanted.__getitem__):
            members = list(group)
            part = slice(members[0], members[-1] + 1)
            inside = SegOutput(crop_maps(coarse.logits[part], normalised[part], window_size))
            refined = self.refiner.decode(seen[part], inside, cropped[part], window_size)
            parts.append(self._paste(refined, coarse.select(part), windows[part], image_sizes[part], size))
        return SegOutput(*(_join(values, slots) for values in zip(*parts)))

    def _windows(self, embedding: ImageEmbedding, coarse: SegOutput, prompts: Prompts) -> Tensor:
        """The window of every slot, (N * K, 1, 4) integers, pixels of its image."""
        found = self.box(coarse, list(embedding.images))
        valid = found.valid if prompts.valid is None else found.valid & prompts.valid
        windows = object_windows(found.boxes, valid, embedding.content, self.margin, self.min_size)
        return windows.flatten(0, 1)[:, None]

    def _paste(
        self, refined: SegOutput, coarse: SegOutput, windows: Tensor, image_sizes: Tensor, size: tuple[int, int]
    ) -> SegOutput:
        """The result of B windows in their images; all of shape (B, 1, ...)."""
        onto, place = resize_logits(coarse.logits, size), (image_sizes, self.feather)
        logits = paste_maps(refined.logits, onto, windows, *place)
        candidates = refined.candidates
        if candidates is not None:
            count = candidates.shape[2]
            onto, windows = onto.expand(-1, count, -1, -1), windows.expand(-1, count, -1)
            candidates = paste_maps(candidates[:, 0], onto, windows, *place)[:, None]
        return refined._replace(logits=logits, candidates=candidates)


def _one_slot_each(prompts: Prompts) -> Prompts:
    """Every slot of (N, K) as an image of its own, (N * K, 1)."""
    return Prompts(
        **{name: None if value is None else value.flatten(0, 1)[:, None] for name, value in vars(prompts).items()}
    )


def _join(parts: tuple, slots: int) -> Tensor | None:
    """Parts of (N * K, 1, ...) as (N, K, ...)."""
    return None if parts[0] is None else torch.cat(parts).unflatten(0, (-1, slots))[:, :, 0]


def _crop(prompts: Prompts, windows: Tensor) -> Prompts:
    """Carry the prompts into windows, normalised; what lies outside is padding, or clipped."""
    prompts = prompts.crop(windows)
    if prompts.points is not None:
        outside = ((prompts.points < 0) | (prompts.points > 1)).any(dim=-1)
        labels = prompts.point_labels.masked_fill(outside, -1)
        prompts = replace(prompts, points=prompts.points.clamp(0, 1), point_labels=labels)
    return prompts if prompts.boxes is None else replace(prompts, boxes=prompts.boxes.clamp(0, 1))
