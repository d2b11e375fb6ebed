"""InteractiveRefinement: one image seen once, refined as often as its prompts are changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...models.segmentors import CoarseToFine, PrecomputedCoarse
from ...models.segmentors.coarse_to_fine import to_labels
from ...structures import ImageEmbedding, Prompts, SegOutput
from ...utils.resize_logits import resize_logits
from ..inference.image_sources import find_sources
from .prompt_editor import PromptEditor


class InteractiveRefinement:
    """Runs coarse network, prompt generator and image encoder once an image; then only the decoder, for any prompts.

    Without a change the result is the one of `CoarseToFine.predict`::

        refinement = InteractiveRefinement(init_model('best.pth'))
        refinement.open('scan.png')
        refinement.editor.move_box(0, (0.2, 0.3, 0.7, 0.8))
        mask = refinement.labels(refinement.refine())

    Args:
        model (CoarseToFine): From `init_model`; several of these may share one.

    Attributes:
        model (CoarseToFine): As given.

    Raises:
        ValueError: If the model is of phase 2 and has no coarse network.
    """

    def __init__(self, model: CoarseToFine):
        if isinstance(model.coarse, PrecomputedCoarse):
            raise ValueError(
                'a checkpoint of phase 2 has no coarse network: give the checkpoint of phase 1 that it follows as '
                'coarse (--coarse)'
            )
        self.model = model
        self._seen: _Seen | None = None

    @torch.no_grad()
    def open(self, image: Any) -> SegOutput:
        """Look at an image; the one before is forgotten once this has worked.

        Args:
            image: One file, array (RGB), Pillow image or tensor, see `find_sources`.

        Returns:
            SegOutput: The coarse result, logits (1, K, H, W) at the image's size.

        Raises:
            DatasetError: If the file is missing or unreadable.
            ValueError: If there are several images, or the file cannot be decoded.
        """
        sources = find_sources(image)
        if len(sources) != 1:
            raise ValueError(f'there are {len(sources)} images, expected one')
        pixels = sources[0].read()
        inputs = self.model.data_preprocessor(dict(inputs=[pixels]))['inputs']
        coarse = self.model.run_coarse(inputs)
        refiner, generator = self.model.refiner, self.model.prompt_generator
        to_refine = None
        if refiner is not None and generator is not None:
            objects = self.model.split_objects(coarse)
            editor = PromptEditor(generator(objects, inputs), refiner.accepts)
            to_refine = _ToRefine(editor, objects, self.model.encode_image(inputs))
        height, width = pixels.shape[-2:]
        shown = SegOutput(resize_logits(coarse.logits, (height, width)))
        self._seen = _Seen(_rgb(pixels), shown, to_refine)
        return shown

    @property
    def image(self) -> np.ndarray:
        """np.ndarray: (H, W) grey or (H, W, 3) RGB, uint8: the image that is open."""
        return self._opened.image

    @property
    def size(self) -> tuple[int, int]:
        """tuple[int, int]: (H, W) in pixels of the image that is open."""
        height, width = self.image.shape[:2]
        return height, width

    @property
    def coarse(self) -> SegOutput:
        """SegOutput: Its coarse result, logits (1, K, H, W) at the image's size."""
        return self._opened.coarse

    @property
    def editor(self) -> PromptEditor | None:
        """PromptEditor, optional: Its prompts; None for a model of phase 1, which has no refiner."""
        to_refine = self._opened.to_refine
        return None if to_refine is None else to_refine.editor

    @torch.no_grad()
    def refine(self, prompts: Prompts | None = None) -> SegOutput:
        """Refine the image that is open.

        Args:
            prompts (Prompts, optional): Of one image, with as many slots as its own. Defaults to the editor's.

        Returns:
            SegOutput: Logits (1, K, H, W) at the image's size, with the coarse ones where there is nothing to refine.

        Raises:
            ValueError: If no image is open, or the model has no refiner.
        """
        to_refine = self._opened.to_refine
        if to_refine is None:
            raise ValueError('the model is of phase 1: it has no refiner, and its coarse mask is the result')
        given = to_refine.editor.prompts if prompts is None else prompts
        return self.model.refine(to_refine.embedding, to_refine.objects, given, self.size)

    def labels(self, output: SegOutput) -> np.ndarray:
        """The mask of a result: (H, W) uint8, 0 background, k + 1 class k."""
        return to_labels(output.logits[0])[0].byte().cpu().numpy()

    def slot_names(self) -> list[str]:
        """What each slot of the prompts is: a class, or an object of one where the model tells objects apart."""
        classes = list(self.model.dataset_meta['classes'][1:])
        if self.editor is None or self.model.object_splitter is None:
            return classes
        count = self.editor.num_slots // len(classes)
        return [f'{name} {index + 1}' for name in classes for index in range(count)]

    def open_slots(self) -> list[bool]:
        """Which slots of the prompts can be edited: all; where the model tells objects apart those with an object.

        The others belong to what its object splitter leaves unrefined.
        """
        if self.editor is None:
            return []
        valid = self.editor.all_prompts.valid
        if self.model.object_splitter is None or valid is None:
            return [True] * self.editor.num_slots
        return valid[0].tolist()

    @property
    def _opened(self) -> _Seen:
        if self._seen is None:
            raise ValueError('no image is open; call open() first')
        return self._seen


class _ToRefine(NamedTuple):
    """What the decoder starts from: prompts, one slot an object, and the image's embedding."""

    editor: PromptEditor
    objects: SegOutput
    embedding: ImageEmbedding


class _Seen(NamedTuple):
    """An image that is open."""

    image: np.ndarray
    coarse: SegOutput
    to_refine: _ToRefine | None


def _rgb(pixels: Tensor) -> np.ndarray:
    """(1, H, W) grey as (H, W), (3, H, W) BGR as (H, W, 3) RGB."""
    array = pixels.numpy()
    return array[0] if len(array) == 1 else np.ascontiguousarray(array[::-1].transpose(1, 2, 0))
