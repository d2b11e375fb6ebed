"""QKVLinear: peft's LoRA layer for a fused qkv. Importing it imports `peft`."""

from __future__ import annotations

import torch.nn.functional as F
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn

from .qkv_lora_adapter import PARTS


class QKVLinear(Linear):
    """A linear layer that makes q, k and v at once, whose adapter named 'q' changes q alone, and so on.

    Args:
        base_layer (nn.Linear): (..., in) to (..., 3 out): q, k and v in this order.
        adapter_name (str): 'q', 'k' or 'v'.
        target_name (str): The layer's name in its network.
        **options: peft's.

    Raises:
        ValueError: If the layer's name does not end in ``qkv``, or its outputs are not three equal parts.
    """

    def __init__(self, base_layer: nn.Linear, adapter_name: str, target_name: str = '', **options):
        if not target_name.endswith('qkv') or base_layer.out_features % 3:
            raise ValueError(
                f'the layer {target_name!r} with {base_layer.out_features} outputs is not a fused qkv: its name has to '
                'end in qkv, and q, k and v have to be equal parts of its outputs.'
            )
        super().__init__(base_layer, adapter_name, target_name=target_name, **options)

    @property
    def lora_variants(self) -> dict:
        """No variant: DoRA's magnitudes belong to whole layers."""
        return {(): None}

    def update_layer(self, adapter_name: str, *args, **options) -> None:
        """Make A (r, in) and B (out, r) for the part of this name."""
        whole, self.out_features = self.out_features, self.out_features // len(PARTS)
        super().update_layer(adapter_name, *args, **options)
        self.out_features = whole

    def get_delta_weight(self, adapter: str) -> Tensor:
        """The update of the whole weight (3 out, in), zero outside of the part."""
        delta = super().get_delta_weight(adapter)
        rows = self._rows(adapter)
        return F.pad(delta, (0, 0, rows.start, self.out_features - rows.stop))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., 3 out)."""
        if self.disable_adapters or self.merged:
            return super().forward(x)
        result = self.base_layer(x)
        for part in self.active_adapters:
            update = self.lora_B[part](self.lora_A[part](self.lora_dropout[part](x))) * self.scaling[part]
            result[..., self._rows(part)] += update
        return result

    def _rows(self, part: str) -> slice:
        size = self.out_features // len(PARTS)
        start = PARTS.index(part) * size
        return slice(start, start + size)
