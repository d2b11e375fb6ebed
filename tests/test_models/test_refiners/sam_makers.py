"""A two-block SAM of 64 pixels, made twice: ours, and segment_anything's with the same weights."""

import numpy as np
import torch
from segment_anything.modeling import ImageEncoderViT, Sam

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.models.refiners.sam_architecture import SAMArchitecture
from ultrarefiner.structures import Prompts, SegOutput

TINY = dict(
    image_size=64,
    patch_size=8,
    embed_dim=32,
    depth=2,
    num_heads=2,
    global_attn_indexes=(1,),
    window_size=3,
    prompt_dim=32,
    decoder_mlp_dim=32,
    decoder_num_heads=2,
    iou_head_hidden_dim=16,
)
LORA = dict(type='LoRAAdapter', r=2, lora_alpha=2.0)


def randomise(module, seed=0):
    """Weights that make every part count: position embeddings start at zero and would hide a fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.3 * noise if parameter.ndim > 1 else 0.1 * noise)
    return module


def tiny_refiner(**options):
    torch.manual_seed(0)
    return randomise(SAMRefiner(**{**dict(arch=TINY, encoder='trained'), **options})).eval()


def original_sam(refiner):
    """segment_anything's own model, with the weights of ours."""
    architecture = SAMArchitecture.from_config(TINY)
    sam = Sam(ImageEncoderViT(**architecture.encoder_sizes()), *architecture.build_decoding()).eval()
    sam.load_state_dict(refiner.state_dict())
    return sam


def random_image(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    return torch.from_numpy(pixels)


def coarse(images, slots=1):
    return SegOutput(torch.zeros(images, slots, 8, 8))


def random_prompts(images, slots=1, kinds=('points', 'boxes', 'masks'), seed=0):
    """A positive and a negative point, a box and a mask for every slot."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(images, slots, 2, 2, generator=generator).sort(dim=2).values
    return Prompts(
        points=torch.rand(images, slots, 2, 2, generator=generator),
        point_labels=torch.tensor([1, 0]).expand(images, slots, 2),
        boxes=corners.flatten(2),
        masks=5 * torch.randn(images, slots, 24, 20, generator=generator),
    ).keep(frozenset(kinds))
