"""LoRAAdapter: low-rank adaptation through the `peft` package."""

from __future__ import annotations

from ...registry import ADAPTERS
from .peft_adapter import PEFTAdapter


@ADAPTERS.register_module()
class LoRAAdapter(PEFTAdapter):
    """LoRA: the weight W of a chosen layer becomes W + (lora_alpha / r) B A, with W frozen (Hu et al., 2021).

    B starts at zero, so an adapted network starts as the plain one. With A of (r, in) and B of (out, r), a layer costs
    ``r * (in + out)`` weights: rank 4 on every ``qkv`` of SAM's ViT-B makes 12 * 4 * (768 + 2304) = 147,456.

    Args:
        target_modules (str | list[str]): Which layers, as in `PEFTAdapter`. Defaults to every ``qkv``.
        r (int): Rank.
        lora_alpha (float): Scale; the update is multiplied by ``lora_alpha / r``.
        lora_dropout (float): Dropout on the adapter's input, in [0, 1).
        **options: Anything else that `peft.LoraConfig` takes: ``use_dora=True`` (DoRA), ``use_rslora=True`` (the scale
            is ``lora_alpha / sqrt(r)``), ``rank_pattern``, ``init_lora_weights``.
    """

    def __init__(
        self,
        target_modules: str | list[str] = r'blocks\.\d+\.attn\.qkv',
        r: int = 4,
        lora_alpha: float = 4.0,
        lora_dropout: float = 0.0,
        **options,
    ):
        super().__init__('LoRA', target_modules, r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, **options)
