"""SAM2Family: SAM 2 and EdgeTAM in `transformers`, as models of single images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...structures import ImageEmbedding
from ...utils.freeze import freeze
from ...utils.pixel_centres import pixel_centres
from .sam_family import Frame, SAMFamily
from .sam_prompts import covered_share, sample


class SAM2Family(SAMFamily):
    """SAM 2 (Ravi et al., 2024) without its memory, and what shares its decoder: two high-resolution levels.

    Its single mask is the single mask: that `transformers` puts one of the three in the place of an unstable one, in
    evaluation alone, is switched off, as what is evaluated would not be what was trained.
    """

    def sizes_for(self, side: int, grid: int) -> dict:
        """What a config says for an input of ``side`` pixels and a ``grid`` of cells, each a side."""
        levels = [[scale * grid] * 2 for scale in (4, 2, 1)]
        return dict(vision_config=dict(backbone_feature_sizes=levels), prompt_encoder_config=dict(image_size=side))

    def prepare(self, model: nn.Module) -> None:
        """Freeze what never trains, and make training and evaluation the same; after the model is built."""
        super().prepare(model)
        freeze(model.mask_decoder.pred_obj_score_head)
        model.mask_decoder.dynamic_multimask_via_stability = False

    def see(self, model: nn.Module, batch: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The image features (N, C, g, g), and the levels (N, C, 4g, 4g) and (N, C, 2g, 2g).

        Args:
            model (nn.Module): Of this family.
            batch (Tensor): (N, 3, S, S), prepared images.
        """
        fine, middle, features, *_ = model.vision_encoder(batch).fpn_hidden_states
        return features, (fine, middle)

    def stand_in(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, content: Tensor, slots: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """One padding point where there are no points and no boxes: the decoder takes at least one token."""
        if points is not None or boxes is not None:
            return points, labels
        count = content.shape[0] * slots
        return content.new_zeros((count, 1, 1, 2), dtype=torch.float32), content.new_full((count, 1, 1), -1)

    def decoder_inputs(self, model: nn.Module, embedding: ImageEmbedding, slots: int) -> tuple[Tensor, dict]:
        """The image features of each slot (B, C, g, g) as of an image without a past, and the two levels, projected."""
        features = embedding.features + model.no_memory_embedding.view(1, -1, 1, 1)
        projections = model.mask_decoder.conv_s0, model.mask_decoder.conv_s1
        levels = [
            project(level).repeat_interleave(slots, dim=0) for project, level in zip(projections, embedding.levels)
        ]
        return features.repeat_interleave(slots, dim=0), dict(high_resolution_features=levels)

    def to_image(self, low_res: Tensor, content: Tensor, frame: Frame, size: tuple[int, int]) -> Tensor:
        """From low-res logits (N, A, m, m) over the input straight to the image, (N, A, H, W)."""
        covered = covered_share(content, frame)
        y, x = (pixel_centres(length, low_res) * covered[:, i, None] for i, length in enumerate(size))
        return sample(low_res, y, x)

    def unused(self, model: nn.Module, kinds: frozenset, single_mask: bool) -> list[nn.Module]:
        """The parts that reach no mask with these prompt kinds; points and boxes share one table."""
        parts = [] if kinds & {'points', 'boxes'} else [model.prompt_encoder.point_embed]
        return [*parts, *self._unused_for_masks(model, kinds, single_mask)]
