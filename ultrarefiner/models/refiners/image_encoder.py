"""ImageEncoder: SAM's image encoder, faster and in less memory."""

from __future__ import annotations

import torch
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, Block, get_rel_pos
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .attention_choice import ATTENTIONS, choose_attention
from .token_windows import needs_filler

ACTIVATIONS = ('kept', 'recomputed')
# Of the hidden activations that exist at a time in an MLP where nothing is kept for a backward pass.
HIDDEN_BYTES = 16 * 2**20


class ImageEncoder(ImageEncoderViT):
    """`segment_anything`'s ImageEncoderViT with its weights, their names and its results, another way.

    No attention matrix of the whole grid ever exists, tokens that only fill up windows are not computed, and without an
    autograd graph an MLP takes a few tokens at a time. In float32 it agrees with the original to 1e-5.

    Args:
        attention (str, optional): One of `ATTENTIONS`, for every block. None takes the fastest (`choose_attention`).
        activations (str): What a backward pass needs is 'kept', or 'recomputed' in it, block by block: less memory for
            about a third more time. Nothing depends on it where no gradient is wanted.
        **sizes: Those of ImageEncoderViT; ``use_rel_pos`` has to be True.

    Raises:
        ValueError: If `attention` or `activations` is none of those.
    """

    def __init__(self, attention: str | None = None, activations: str = 'kept', **sizes):
        if attention is not None and attention not in ATTENTIONS:
            raise ValueError(f'ImageEncoder: attention is {attention!r}, expected None or one of {sorted(ATTENTIONS)}')
        if activations not in ACTIVATIONS:
            raise ValueError(f'SAMRefiner: activations is {activations!r}, expected one of {ACTIVATIONS}')
        super().__init__(**sizes)
        self.activations = activations
        self.blocks = nn.ModuleList(EncoderBlock(block, attention) for block in self.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) normalised pixels to the image embedding (N, C, g, g)."""
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            if self.activations == 'recomputed' and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class EncoderBlock(nn.Module):
    """A block of the image encoder.

    Args:
        block (Block): The original one; its parts are taken over.
        attention (str, optional): As in `ImageEncoder`.
    """

    def __init__(self, block: Block, attention: str | None = None):
        super().__init__()
        self.norm1 = block.norm1
        self.attn = WindowAttention(block.attn, block.window_size, attention)
        self.norm2 = block.norm2
        self.mlp = block.mlp

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same."""
        x = x + self.attn(self.norm1(x))
        # An exported graph takes any number of images, and what is split here would fix it.
        if torch.is_grad_enabled() or x.device.type != 'cpu' or torch.compiler.is_compiling():
            return x + self.mlp(self.norm2(x))
        tokens = x.flatten(0, 2)
        per_token = self.mlp.lin1.out_features * x.element_size()
        return torch.cat(
            [part + self.mlp(self.norm2(part)) for part in tokens.split(HIDDEN_BYTES // per_token)]
        ).view_as(x)


class WindowAttention(nn.Module):
    """Attention within windows, with decomposed relative position.

    Args:
        attention (Attention): The original one; its parts are taken over.
        window_size (int): Side of a window in tokens; 0 for one window, the whole grid.
        way (str, optional): One of `ATTENTIONS`. None takes the fastest.
    """

    def __init__(self, attention: Attention, window_size: int, way: str | None = None):
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.rel_pos_h, self.rel_pos_w = attention.rel_pos_h, attention.rel_pos_w
        self.num_heads = attention.num_heads
        self.window_size = window_size
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same."""
        height, width = (self.window_size,) * 2 if self.window_size else x.shape[1:3]
        qkv, filler = self._project(x)
        rows = get_rel_pos(height, height, self.rel_pos_h).to(qkv.dtype)
        columns = get_rel_pos(width, width, self.rel_pos_w).to(qkv.dtype)
        arguments = (qkv, filler, rows, columns, self.num_heads, self.window_size)
        return self.proj(ATTENTIONS[self.way or choose_attention(*arguments)](*arguments))

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Queries, keys and values of the tokens (N, H, W, 3C), and of the token (3C, ) that fills up windows, if any.

        The original fills up with zeros before the layer, which makes its bias of them, or what an adapter does.
        """
        if not needs_filler(x.shape[1:3], self.window_size):
            return self.qkv(x), None
        tokens = x.flatten(0, 2)
        both = self.qkv(torch.cat([tokens, tokens.new_zeros(1, tokens.shape[1])]))
        return both[:-1].view(*x.shape[:3], -1), both[-1]
