"""SAMHQFamily: SAM-HQ in `transformers`."""

from __future__ import annotations

from torch import Tensor, nn

from ...structures import ImageEmbedding
from .sam_family import SAMFamily


class SAMHQFamily(SAMFamily):
    """SAM-HQ (Ke et al., 2023): a token more, whose mask is added to each of SAM's, made with early features.

    The candidates come sorted by their predicted IoU, the highest first.
    """

    def prepare(self, model: nn.Module) -> None:
        """Freeze what never trains; after the model is built.

        Raises:
            ValueError: If no block of the image encoder is global.
        """
        super().prepare(model)
        if all(layer.window_size for layer in model.vision_encoder.layers):
            raise ValueError(
                'TransformersRefiner: sam_hq reads the features of the first global block, and '
                f'arch.vision_config.global_attn_indexes is {model.config.vision_config.global_attn_indexes} for '
                f'{len(model.vision_encoder.layers)} blocks; name at least one of them'
            )

    def see(self, model: nn.Module, batch: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The image features (N, C, g, g), and those of the first global block (N, g, g, C'), the only ones read.

        Args:
            model (nn.Module): Of this family.
            batch (Tensor): (N, 3, S, S), prepared images.
        """
        output = model.vision_encoder(batch)
        return output.last_hidden_state, tuple(output.intermediate_embeddings[:1])

    def decoder_inputs(self, model: nn.Module, embedding: ImageEmbedding, slots: int) -> tuple[Tensor, dict]:
        """The image features of each slot (B, C, g, g), and the early ones."""
        features, extra = super().decoder_inputs(model, embedding, slots)
        early = [level.repeat_interleave(slots, dim=0) for level in embedding.levels]
        return features, dict(extra, hq_token_only=False, intermediate_embeddings=early)
