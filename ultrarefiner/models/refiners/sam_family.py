"""SAMFamily: how SAM sees and decodes in `transformers`, and what of it is never used; what its kin changes.

Letters: N images, K slots, B = N * K, C channels, g cells a side of the image embedding, S pixels a side of the input,
m = 4 g pixels a side of the low-res logits, M candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...structures import ImageEmbedding, Prompts
from ...utils.freeze import freeze
from .sam_decoding import to_image_size
from .sam_prompts import pad_masks, to_pixel_index


class Frame(NamedTuple):
    """The sizes of a model's frames, (height, width) in pixels, by the names that SAM's prompt encoder gives them."""

    input_image_size: tuple[int, int]
    mask_input_size: tuple[int, int]


class SAMFamily:
    """SAM (Kirillov et al., 2023). A family holds no weights: the model is handed to every method.

    The image encoder is ``model.vision_encoder``. All that needs a gradient to another part happens in `decode`, so
    that what `see` makes can be kept as long as the image encoder is frozen.

    Args:
        prefix (str): Of the classes in `transformers`, such as 'Sam' of ``SamConfig`` and ``SamModel``.
        profile (str): The input profile that the published weights want, one of `sam_profiles.PROFILES`.
        stored_as (tuple[str, ...]): Other model types whose files hold the weights of such a model too: a video model
            is an image model and a memory.
        defaults (dict): What a config says unless told otherwise, beside the defaults of `transformers`.
    """

    def __init__(self, prefix: str, profile: str, stored_as: tuple[str, ...] = (), defaults: dict | None = None):
        self.prefix = prefix
        self.profile = profile
        self.stored_as = stored_as
        self.defaults = defaults or {}

    def classes(self) -> tuple[type, type]:
        """The config's and the model's class.

        Raises:
            ImportError: If the installed `transformers` lacks them.
        """
        # Imported here: the models take seconds to import, and most runs need none of them.
        import transformers

        names = f'{self.prefix}Config', f'{self.prefix}Model'
        if not all(hasattr(transformers, name) for name in names):
            raise ImportError(
                f'TransformersRefiner: transformers {transformers.__version__} has no {names[1]}; install a newer one '
                'with pip install --upgrade transformers'
            )
        return tuple(getattr(transformers, name) for name in names)

    def sizes_for(self, side: int, grid: int) -> dict:
        """What a config says for an input of ``side`` pixels and a ``grid`` of cells, each a side."""
        return dict(vision_config=dict(image_size=side), prompt_encoder_config=dict(image_size=side))

    def prepare(self, model: nn.Module) -> None:
        """Freeze what never trains, and make training and evaluation the same; after the model is built."""
        of_cells, of_prompts = model.shared_image_embedding, model.prompt_encoder.shared_embedding
        with torch.no_grad():
            # For random weights: SAM has one position encoding, of frequencies with a deviation of 1. `transformers`
            # draws two for SAM 2, and with a deviation of hundreds for SAM.
            of_cells.positional_embedding /= of_cells.scale
            of_prompts.positional_embedding.copy_(of_cells.positional_embedding)
        freeze(of_cells)
        freeze(of_prompts)

    def frame(self, model: nn.Module) -> Frame:
        """The sizes of the model's frames."""
        encoder = model.prompt_encoder
        return Frame((encoder.input_image_size,) * 2, tuple(4 * cells for cells in encoder.image_embedding_size))

    def see(self, model: nn.Module, batch: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The image features (N, C, g, g), and further maps that the decoder reads, each with N in front.

        Args:
            model (nn.Module): Of this family.
            batch (Tensor): (N, 3, S, S), prepared images.
        """
        return model.vision_encoder(batch).last_hidden_state, ()

    def embed_prompts(
        self, model: nn.Module, prompts: Prompts, content: Tensor, slots: int
    ) -> tuple[Tensor | None, Tensor]:
        """Embed the prompts of all slots, each slot as an image of its own: a model takes one mask an image.

        Args:
            model (nn.Module): Of this family.
            prompts (Prompts): Normalised; of N images and K slots.
            content (Tensor): (N, 2) integers, (height, width) in pixels of the input that each image covers.
            slots (int): K.

        Returns:
            tuple[Tensor | None, Tensor]: The sparse embeddings (B, 1, T, C) of T tokens a slot, None where there are no
            points and no boxes, and the dense ones (B, C, g, g).
        """
        points = labels = boxes = masks = None
        if prompts.points is not None:
            points = to_pixel_index(prompts.points.float(), content).flatten(0, 1)[:, None]  # (B, 1, P, 2)
            labels = prompts.point_labels.flatten(0, 1)[:, None]
        if prompts.boxes is not None:
            corners = prompts.boxes.float().unflatten(-1, (2, 2))
            boxes = to_pixel_index(corners, content).flatten(0, 1).flatten(1)[:, None]  # (B, 1, 4)
        if prompts.masks is not None:
            masks = pad_masks(prompts.masks.float(), content, self.frame(model)).flatten(0, 1)[:, None]
        points, labels = self.stand_in(points, labels, boxes, content, slots)
        # A padding point keeps the label -1, by which SAM itself marks what is no point. What `transformers` pads with,
        # -10, makes a token of zeros, which no model was trained with.
        # Coordinates keep full precision: a half-precision position encoding is off by pixels.
        with torch.autocast(content.device.type, enabled=False):
            sparse, dense = model.prompt_encoder(
                input_points=points, input_labels=labels, input_boxes=boxes, input_masks=masks
            )
        return sparse, dense.expand(content.shape[0] * slots, -1, -1, -1)

    def stand_in(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, content: Tensor, slots: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """The points and labels that the model is given where it cannot do without."""
        return points, labels

    def decode(
        self,
        model: nn.Module,
        embedding: ImageEmbedding,
        sparse: Tensor | None,
        dense: Tensor,
        slots: int,
        single_mask: bool,
    ) -> tuple[Tensor, Tensor]:
        """The candidate masks of each slot.

        Args:
            model (nn.Module): Of this family.
            embedding (ImageEmbedding): Of the N images.
            sparse (Tensor, optional): (B, 1, T, C) tokens of points and boxes.
            dense (Tensor): (B, C, g, g) embedding of the mask prompt.
            slots (int): K.
            single_mask (bool): Whether to make the one mask for several prompts (M = 1) in the place of the three for
                one ambiguous prompt.

        Returns:
            tuple[Tensor, Tensor]: Low-res logits (B, M, m, m) over the padded input, and predicted IoU (B, M).
        """
        with torch.autocast(dense.device.type, enabled=False):
            position = model.get_image_wide_positional_embeddings()
        features, extra = self.decoder_inputs(model, embedding, slots)
        low_res, quality, *_ = model.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=position.expand_as(features),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=not single_mask,
            **extra,
        )
        return low_res[:, 0], quality[:, 0]

    def decoder_inputs(self, model: nn.Module, embedding: ImageEmbedding, slots: int) -> tuple[Tensor, dict]:
        """The image features of each slot (B, C, g, g), and what else the mask decoder of the family takes."""
        return embedding.features.repeat_interleave(slots, dim=0), {}

    def to_image(self, low_res: Tensor, content: Tensor, frame: Frame, size: tuple[int, int]) -> Tensor:
        """From low-res logits (N, A, m, m) over the padded input to the image, (N, A, H, W) with (H, W) = ``size``."""
        return to_image_size(low_res, content, frame.input_image_size, size)

    def unused(self, model: nn.Module, kinds: frozenset, single_mask: bool) -> list[nn.Module]:
        """The parts that reach no mask with these prompt kinds; the IoU head is the caller's."""
        encoder = model.prompt_encoder
        background, foreground, *corners = encoder.point_embed
        parts = [] if 'points' in kinds else [background, foreground, encoder.not_a_point_embed]
        parts += [] if 'boxes' in kinds else corners
        return [*parts, *self._unused_for_masks(model, kinds, single_mask)]

    def _unused_for_masks(self, model: nn.Module, kinds: frozenset, single_mask: bool) -> list[nn.Module]:
        """Of the mask prompt's two embeddings, and of the single mask and the three candidates, one is never read."""
        encoder = model.prompt_encoder
        single, *candidates = model.mask_decoder.output_hypernetworks_mlps
        return [
            encoder.no_mask_embed if 'masks' in kinds else encoder.mask_embed,
            *(candidates if single_mask else [single]),
        ]
