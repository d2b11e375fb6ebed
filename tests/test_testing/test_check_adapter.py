"""A small sound adapter passes; each promise has an adapter that breaks it, and is caught."""

import pytest
import torch
from torch import nn

from ultrarefiner.interfaces import BaseAdapter
from ultrarefiner.testing import ContractError, check_adapter


class GainedLayer(nn.Module):
    """A frozen layer, and a gain for each of its outputs that starts at 1."""

    def __init__(self, base_layer):
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.gain = nn.Parameter(torch.ones(base_layer.out_features))
        self.extra = 1.0

    def forward(self, x):
        return self.base_layer(x) * (1 + self.extra * (self.gain - 1))


class GainAdapter(BaseAdapter):
    """Gives every linear layer of a Sequential a gain."""

    def inject(self, module):
        module.requires_grad_(False)
        linear = [name for name, part in module.named_children() if isinstance(part, nn.Linear)]
        if not linear:
            raise ValueError('no linear layer')
        for name in linear:
            setattr(module, name, GainedLayer(getattr(module, name)))

    def merge(self, module):
        for name, part in module.named_children():
            if isinstance(part, GainedLayer):
                layer = part.base_layer
                layer.weight.data *= part.gain.data[:, None]
                layer.bias.data *= part.gain.data
                setattr(module, name, layer)

    def plain_key(self, key):
        return None if key.endswith('.gain') else key.replace('.base_layer.', '.')

    def restart(self, module):
        for part in module.modules():
            if isinstance(part, GainedLayer):
                part.gain.data.fill_(1.0)


class StartsElsewhere(GainAdapter):
    def inject(self, module):
        super().inject(module)
        module[0].gain.data += 0.5


class TrainsTheBase(GainAdapter):
    def inject(self, module):
        super().inject(module)
        module[0].base_layer.requires_grad_(True)


class TrainsNothing(GainAdapter):
    def inject(self, module):
        super().inject(module)
        module.requires_grad_(False)


class OwnNames(GainAdapter):
    def plain_key(self, key):
        return None if key.endswith('.gain') else key


class KeepsItsStart(GainAdapter):
    def restart(self, module):
        pass


class NewParameters(GainAdapter):
    def restart(self, module):
        for part in module.modules():
            if isinstance(part, GainedLayer):
                part.gain = nn.Parameter(torch.ones_like(part.gain))


class ForgetsTheBias(GainAdapter):
    def merge(self, module):
        biases = {name: part.base_layer.bias.clone() for name, part in module.named_children() if name in '02'}
        super().merge(module)
        for name, bias in biases.items():
            module.get_submodule(name).bias.data = bias


class StaysIn(GainAdapter):
    def merge(self, module):
        pass


class HiddenState(GainAdapter):
    def inject(self, module):
        super().inject(module)
        module[0].extra = torch.rand(()).item()


class FitsAnything(GainAdapter):
    def inject(self, module):
        if any(isinstance(part, nn.Linear) for part in module.children()):
            super().inject(module)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


def check(adapter):
    check_adapter(dict(type=adapter), network(), torch.randn(5, 3))


def test_a_sound_adapter_passes():
    check(GainAdapter)


@pytest.mark.parametrize(
    'adapter, promise',
    [
        (StartsElsewhere, 'starts as the plain network'),
        (TrainsTheBase, 'what trains'),
        (TrainsNothing, 'what trains'),
        (OwnNames, 'plain_key'),
        (KeepsItsStart, 'restart starts as the plain network'),
        (NewParameters, 'restart'),
        (ForgetsTheBias, 'merged equals unmerged'),
        (StaysIn, 'merge'),
        (HiddenState, 'the state dict is all there is'),
        (FitsAnything, 'nothing to adapt'),
    ],
)
def test_a_broken_promise_is_caught(adapter, promise):
    with pytest.raises(ContractError) as error:
        check(adapter)
    assert error.value.promise == promise
