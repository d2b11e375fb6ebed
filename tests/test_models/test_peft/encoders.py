"""SAM's image encoder: two blocks of 32 pixels, or the published ViT-B without memory for its weights."""

import torch
from segment_anything.modeling import ImageEncoderViT

from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture

IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def encoder():
    torch.manual_seed(0)
    return ImageEncoderViT(
        img_size=32,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        out_chans=8,
        use_rel_pos=True,
        window_size=2,
        global_attn_indexes=(1,),
    ).eval()


def vit_b():
    with torch.device('meta'):
        return SAMArchitecture().build()[0]


def change(module, seed=2):
    """Give every trainable weight another value, so that the adapter has an effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))


def trainable(module):
    return {name: weight.numel() for name, weight in module.named_parameters() if weight.requires_grad}
