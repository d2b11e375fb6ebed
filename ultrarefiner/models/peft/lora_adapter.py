"""LoRAAdapter: low-rank adaptation through the `peft` package."""

from __future__ import annotations

import re

from torch import nn

from ...interfaces import BaseAdapter
from ...registry import ADAPTERS

# `peft` is imported where it is used: it brings in `transformers`, which takes seconds, and most runs need neither.


@ADAPTERS.register_module()
class LoRAAdapter(BaseAdapter):
    """LoRA: the weight W of a chosen layer becomes W + (lora_alpha / r) B A, with W frozen (Hu et al., 2021).

    B starts at zero, so an adapted network starts as the plain one. With A of (r, in) and B of (out, r), a layer costs
    ``r * (in + out)`` weights: rank 4 on every ``qkv`` of SAM's ViT-B makes 12 * 4 * (768 + 2304) = 147,456.

    Args:
        target_modules (str | list[str]): Which layers: a regular expression that the whole name has to match, or a list
            of name endings. Names are relative to the adapted network, such as ``blocks.0.attn.qkv``.
        r (int): Rank.
        lora_alpha (float): Scale; the update is multiplied by ``lora_alpha / r``.
        lora_dropout (float): Dropout on the adapter's input, in [0, 1).
        **options: Anything else that `peft.LoraConfig` takes, such as ``use_dora=True``.
    """

    def __init__(
        self,
        target_modules: str | list[str] = r'blocks\.\d+\.attn\.qkv',
        r: int = 4,
        lora_alpha: float = 4.0,
        lora_dropout: float = 0.0,
        **options,
    ):
        self.options = dict(
            target_modules=target_modules, r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, **options
        )

    def inject(self, module: nn.Module) -> None:
        """Put LoRA into the chosen layers of ``module``, in place, and freeze everything else in it.

        Raises:
            ValueError: If no layer has such a name; the message lists the names there are.
        """
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(**self.options)
        try:
            inject_adapter_in_model(config, module)
        except ValueError as error:
            raise ValueError(
                f'LoRAAdapter: {error} target_modules is {self.options["target_modules"]!r}; the layers of '
                f'{type(module).__name__} that LoRA can adapt are {", ".join(_adaptable(module))} ({{i}} is a number)'
            ) from error

    def merge(self, module: nn.Module) -> None:
        """Add the update to the weights and take the adapter out, in place.

        Raises:
            ValueError: If ``module`` holds no LoRA layer, or its weights are not finite.
        """
        from peft.tuners.tuners_utils import BaseTunerLayer

        adapted = [(name, part) for name, part in module.named_modules() if isinstance(part, BaseTunerLayer)]
        if not adapted:
            raise ValueError(f'LoRAAdapter: there is no LoRA layer to merge in {type(module).__name__}')
        for name, layer in adapted:
            layer.merge(safe_merge=True)
            module.set_submodule(name, layer.get_base_layer())
        del module.peft_config

    def plain_key(self, key: str) -> str | None:
        """``blocks.0.attn.qkv.base_layer.weight`` is ``blocks.0.attn.qkv.weight``; ``...lora_A...`` is LoRA's own."""
        return None if '.lora_' in key else key.replace('.base_layer.', '.')


def _adaptable(module: nn.Module) -> list[str]:
    """The names of the linear and convolution layers, with a number in the place of {i}."""
    names = (name for name, part in module.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d)))
    return list(dict.fromkeys(re.sub(r'(?<=\.)\d+(?=\.|$)', '{i}', name) for name in names))
