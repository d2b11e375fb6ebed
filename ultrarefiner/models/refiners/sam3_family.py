"""SAM3Family: the interactive part of SAM 3 in `transformers`."""

from __future__ import annotations

from torch import nn

from ...utils.freeze import freeze
from .sam2_family import SAM2Family


class SAM3Family(SAM2Family):
    """The interactive part of SAM 3 (Carion et al., 2025): SAM 2's decoder on a ViT with rotary positions.

    Its neck may make a fourth, coarser level, which only the detector reads. `Sam3TrackerModel.forward` then adds the
    embedding of an image without a past to that level, where nothing reads it; here it is added to the features, as in
    `Sam3VideoModel`.
    """

    def sizes_for(self, side: int, grid: int) -> dict:
        """What a config says for an input of ``side`` pixels and a ``grid`` of cells, each a side."""
        sizes = super().sizes_for(side, grid)
        sizes['vision_config']['backbone_config'] = dict(image_size=side)
        return sizes

    def prepare(self, model: nn.Module) -> None:
        """Freeze what never trains, and make training and evaluation the same; after the model is built."""
        super().prepare(model)
        for layer in model.vision_encoder.neck.fpn_layers[3:]:
            freeze(layer)
