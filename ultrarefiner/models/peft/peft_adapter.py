"""PEFTAdapter: the methods of the `peft` package that change single layers and merge into their weights."""

from __future__ import annotations

import copy
import re

from torch import nn

from ...interfaces import BaseAdapter
from ...registry import ADAPTERS

# `peft` is imported where it is used: it brings in `transformers`, which takes seconds, and most runs need neither.

# Those that `ultrarefiner.testing.check_adapter` passes on SAM's image encoder. VeRA and its kind share weights between
# layers, AdaLoRA has to be called in every step, BOFT compiles a CUDA extension, OFT takes no (N, H, W, C), and prompt
# tuning is for language models.
METHODS = (
    'DELORA',
    'FOURIERFT',
    'HRA',
    'IA3',
    'LN_TUNING',
    'LOHA',
    'LOKR',
    'LORA',
    'MISS',
    'RANDLORA',
    'ROAD',
    'SHIRA',
)


@ADAPTERS.register_module()
class PEFTAdapter(BaseAdapter):
    r"""An adapter of the `peft` package, by the name of its method.

    Args:
        method (str): One of `METHODS`, in any case, such as 'LoHa'.
        target_modules (str | list[str]): Which layers: a regular expression that the whole name has to match, or a list
            of name endings. Names are relative to the adapted network, such as ``blocks.0.attn.qkv``; some blocks alone
            are ``r'blocks\.(10|11)\.attn\.qkv'``, proj and mlp ``r'blocks\.\d+\.(attn\.proj|mlp\.lin[12])'``.
        **options: Anything else that peft's config of the method takes; its defaults are peft's. FourierFT needs
            ``init_weights=True`` to start as the plain network.

    Raises:
        ValueError: If the method is none of those.
    """

    def __init__(self, method: str, target_modules: str | list[str] = r'blocks\.\d+\.attn\.qkv', **options):
        self.method = method
        self.options = dict(target_modules=target_modules, **options)
        self._config_class, self._prefix = _find(method)

    def inject(self, module: nn.Module) -> None:
        """Put the method's weights into the chosen layers of ``module``, in place, and freeze everything else in it.

        Raises:
            TypeError: If the method does not know an option.
            ValueError: If a name or the expression matches no layer, the message lists those there are; or the method
                refuses one.
        """
        layers = _layers(module)
        try:
            self._inject(module)
            self._check_every_target(module)
        except ValueError as error:
            raise ValueError(
                f'{type(self).__name__}: {error} target_modules is {self.options["target_modules"]!r}; the linear and '
                f'convolution layers of {type(module).__name__} are {", ".join(layers)} ({{i}} is a number)'
            ) from error

    def merge(self, module: nn.Module) -> None:
        """Fold the update into the weights and take the adapter out, in place.

        Raises:
            ValueError: If ``module`` holds no layer of an adapter, or its weights are not finite.
        """
        adapted = _adapted_layers(module)
        if not adapted:
            raise ValueError(
                f'{type(self).__name__}: there is no {self.method} layer to merge in {type(module).__name__}'
            )
        for layer in adapted.values():
            layer.merge(safe_merge=True)
        _take_out(module)

    def plain_key(self, key: str) -> str | None:
        """``blocks.0.attn.qkv.base_layer.weight`` is ``blocks.0.attn.qkv.weight``; ``...lora_A...`` is LoRA's own."""
        return None if f'.{self._prefix}' in key else key.replace('.base_layer.', '.')

    def restart(self, module: nn.Module) -> None:
        """Start anew from the weights that the plain part has now, in place: DoRA's magnitudes are made of them."""
        fresh = copy.deepcopy(module)
        _take_out(fresh)
        self.inject(fresh)
        module.load_state_dict(fresh.state_dict())

    def _inject(self, module: nn.Module) -> None:
        from peft import inject_adapter_in_model

        inject_adapter_in_model(self._config_class(**self.options), module)

    def _check_every_target(self, module: nn.Module) -> None:
        """Check that every name of a list matches a layer; peft is content with one of them."""
        targets, adapted = self.options['target_modules'], _adapted_layers(module)
        if isinstance(targets, str):
            return
        idle = [target for target in targets if not any(f'.{name}'.endswith(f'.{target}') for name in adapted)]
        if idle:
            raise ValueError(f'{", ".join(idle)} matches no layer.')


def _find(method: str) -> tuple[type, str]:
    """The method's config class, and the prefix of its weights' names."""
    from peft import mapping

    name = method.upper()
    known = [known for known in METHODS if known in mapping.PEFT_TYPE_TO_CONFIG_MAPPING]
    if name not in known:
        raise ValueError(
            f'PEFTAdapter: method is {method!r}, expected one of {", ".join(known)} (in any case); other methods of '
            'peft need more than a config, or do not start as the plain network'
        )
    return mapping.PEFT_TYPE_TO_CONFIG_MAPPING[name], mapping.PEFT_TYPE_TO_PREFIX_MAPPING[name]


def _adapted_layers(module: nn.Module) -> dict[str, nn.Module]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: part for name, part in module.named_modules() if isinstance(part, BaseTunerLayer)}


def _take_out(module: nn.Module) -> None:
    """Put the plain layers back."""
    for name, layer in _adapted_layers(module).items():
        module.set_submodule(name, layer.get_base_layer())
    del module.peft_config


def _layers(module: nn.Module) -> list[str]:
    """The names of the linear and convolution layers, with a number in the place of {i}."""
    names = (name for name, part in module.named_modules() if isinstance(part, (nn.Linear, nn.Conv2d)))
    return list(dict.fromkeys(re.sub(r'(?<=\.)\d+(?=\.|$)', '{i}', name) for name in names))
