"""QKVLoRAAdapter: LoRA on single parts of a fused qkv layer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import nn

from ...registry import ADAPTERS
from .lora_adapter import LoRAAdapter

PARTS = ('q', 'k', 'v')


@ADAPTERS.register_module()
class QKVLoRAAdapter(LoRAAdapter):
    """LoRA with matrices of their own for the queries, keys or values that one layer makes together.

    `LoRAAdapter` on SAM's ``qkv`` gives all three one A of rank r, and so adapts the keys too. Here each part has its
    own A and B, as in SAMed (Zhang and Liu, 2023) and micro-sam, which adapt q and v: with d channels a part costs
    ``r * 2 d`` weights, so rank 4 on q and v of SAM's ViT-B makes 12 * 2 * 4 * 1536 = 147,456, as many as rank 4 on the
    whole of qkv. The state dict keeps the fused weight, and adds ``lora_A.q.weight`` and the like.

    Args:
        parts (Sequence[str]): Of 'q', 'k', 'v'. Defaults to q and v.
        target_modules (str | list[str]): Which layers, as in `PEFTAdapter`; each has to be a linear layer named
            ``...qkv`` whose outputs are q, k and v, in this order. Defaults to every ``qkv``.
        **options: As for `LoRAAdapter`; not ``use_dora``.

    Raises:
        ValueError: If a part is unknown or given twice.
    """

    def __init__(
        self,
        parts: Sequence[str] = ('q', 'v'),
        target_modules: str | list[str] = r'blocks\.\d+\.attn\.qkv',
        **options,
    ):
        super().__init__(target_modules, **options)
        self.parts = tuple(parts)
        if not self.parts or not set(self.parts) <= set(PARTS) or len(set(self.parts)) < len(self.parts):
            raise ValueError(f'QKVLoRAAdapter: parts is {parts!r}, expected some of {PARTS}, each once')

    def _inject(self, module: nn.Module) -> None:
        """One adapter of peft a part, named like it, all of them active."""
        from peft import inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        from .qkv_linear import QKVLinear

        for part in self.parts:
            config = self._config_class(**self.options)
            config._register_custom_module({nn.Linear: QKVLinear})
            with warnings.catch_warnings():
                warnings.filterwarnings('ignore', 'Already found a `peft_config`')  # the second part follows the first
                inject_adapter_in_model(config, module, adapter_name=part)
        for layer in module.modules():
            if isinstance(layer, LoraLayer):
                layer.set_adapter(list(self.parts))
