"""The pre-norm blocks of a vision transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention; query, key and value come from one linear layer, in this order.

    Args:
        hidden_size (int): Channels D of a token.
        num_heads (int): Heads, a divisor of ``hidden_size``.
    """

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, D) to (N, L, D)."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value)  # (N, heads, L, D / heads)
        return self.out(mixed.transpose(1, 2).flatten(2))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of (N, heads, L, D); written out where the fused kernel takes twice the time."""
    if query.device.type == 'cpu' and query.dtype == torch.bfloat16:
        scores = query * query.shape[-1] ** -0.5 @ key.mT
        return scores.softmax(-1).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value)


class TransformerBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each behind a layer norm and with a shortcut.

    Args:
        hidden_size (int): Channels D of a token.
        num_heads (int): Attention heads.
        mlp_size (int): Channels between the two layers of the perceptron.
        dropout (float): Probability, after each layer of the perceptron; there is none in the attention.
    """

    def __init__(self, hidden_size: int, num_heads: int, mlp_size: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden_size, eps=1e-6)
        self.attention = SelfAttention(hidden_size, num_heads)
        self.norm2 = nn.LayerNorm(hidden_size, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, mlp_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_size, hidden_size),
            nn.Dropout(dropout),
        )
        for layer in (self.mlp[0], self.mlp[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, D) to (N, L, D)."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))
