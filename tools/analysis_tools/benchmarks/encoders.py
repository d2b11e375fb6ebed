"""SAM's image encoder of three makers, with the same weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture

from .authors_step import public_sam
from .harness import Options
from .toolkit_step import architecture_of

BATCHES = dict(cpu=1, cuda=8)
# From the names of `segment_anything` to those of `transformers`, in this order.
RENAMED = {
    'patch_embed.proj.': 'patch_embed.projection.',
    'blocks.': 'layers.',
    'norm1.': 'layer_norm1.',
    'norm2.': 'layer_norm2.',
    'neck.0.': 'neck.conv1.',
    'neck.1.': 'neck.layer_norm1.',
    'neck.2.': 'neck.conv2.',
    'neck.3.': 'neck.layer_norm2.',
}


@dataclass(frozen=True)
class EncoderBench:
    """The original encoder and a batch for it.

    Args:
        options (Options): Of the section.
        architecture (SAMArchitecture): The sizes.
        original (ImageEncoderViT): `segment_anything`'s, frozen, with no weight at zero.
        images (Tensor): (N, 3, S, S), normal noise, like normalised pixels.
    """

    options: Options
    architecture: SAMArchitecture
    original: ImageEncoderViT
    images: Tensor

    @classmethod
    def make(cls, options: Options) -> EncoderBench:
        """For the options' device and size."""
        architecture = architecture_of(options.size)
        original = public_sam(architecture).image_encoder.requires_grad_(False).to(options.device)
        torch.manual_seed(1)
        images = torch.randn(BATCHES[options.device], 3, *[architecture.image_size] * 2, device=options.device)
        return cls(options, architecture, original, images)

    @property
    def title(self) -> str:
        """What is run on what."""
        architecture, count = self.architecture, len(self.images)
        return (
            f'{architecture.depth} blocks of {architecture.embed_dim}, {architecture.image_size} pixels, batch {count}'
        )

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """(C, g, g)."""
        cells = self.architecture.image_size // self.architecture.patch_size
        return self.architecture.prompt_dim, cells, cells

    def ours(self, activations: str = 'kept') -> nn.Module:
        """The toolkit's, with the weights of the original, which both hold."""
        return self._with_weights(self.architecture.build(activations)[0], self.original.state_dict())

    def transformers(self, attention: str) -> nn.Module:
        """That of `transformers` with its 'eager' or 'sdpa' attention; its output has a ``last_hidden_state``."""
        from transformers import SamVisionConfig
        from transformers.models.sam.modeling_sam import SamVisionEncoder

        sizes = self.architecture
        config = SamVisionConfig(
            hidden_size=sizes.embed_dim,
            output_channels=sizes.prompt_dim,
            num_hidden_layers=sizes.depth,
            num_attention_heads=sizes.num_heads,
            image_size=sizes.image_size,
            patch_size=sizes.patch_size,
            window_size=sizes.window_size,
            global_attn_indexes=list(sizes.global_attn_indexes),
            mlp_dim=4 * sizes.embed_dim,
            attn_implementation=attention,
        )
        return self._with_weights(SamVisionEncoder(config), renamed(self.original.state_dict()))

    def flops(self) -> float:
        """Of a forward pass of the original, counted without computing it."""
        empty = copy.deepcopy(self.original).to('meta')
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            empty(self.images.to('meta'))
        return counter.get_total_flops()

    def _with_weights(self, encoder: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
        encoder.load_state_dict(weights, assign=True)
        return encoder.requires_grad_(False).to(self.options.device).eval()


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of `segment_anything`'s encoder by the names of `transformers`."""
    names = {name: name for name in weights}
    for old, new in RENAMED.items():
        names = {name: renaming.replace(old, new) for name, renaming in names.items()}
    return {names[name]: weight for name, weight in weights.items()}
