"""QKVLoRAAdapter: each part has matrices of its own, and the others stay as they were."""

import pytest
import torch
from encoders import IMAGE, change, encoder, trainable, vit_b
from peft import LoraConfig, get_peft_model
from torch import nn

from ultrarefiner.models.peft import QKVLoRAAdapter


class Fused(nn.Module):
    """One block with a layer for all three."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        return self.qkv(x)


class Apart(nn.Module):
    """The same with a layer each."""

    def __init__(self, qkv: nn.Linear):
        super().__init__()
        for index, part in enumerate('qkv'):
            layer = nn.Linear(8, 8)
            layer.weight.data, layer.bias.data = (t.data.chunk(3)[index] for t in (qkv.weight, qkv.bias))
            setattr(self, part, layer)

    def forward(self, x):
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


@pytest.mark.parametrize('parts', [('q', 'v'), ('k',), ('v', 'k', 'q')], ids=str)
@pytest.mark.parametrize('options', [dict(), dict(use_rslora=True)], ids=str)
def test_it_is_what_peft_makes_of_three_layers(parts, options):
    torch.manual_seed(0)
    ours = Fused()
    theirs = get_peft_model(Apart(ours.qkv), LoraConfig(target_modules=list(parts), r=2, lora_alpha=6.0, **options))
    adapter = QKVLoRAAdapter(parts, target_modules='qkv', r=2, lora_alpha=6.0, **options)
    adapter.inject(ours)
    change(ours)
    for part in parts:
        layer = getattr(theirs.base_model.model, part)
        for name in ('lora_A', 'lora_B'):
            getattr(layer, name).default.weight.data = getattr(ours.qkv, name)[part].weight.data.clone()
    x = torch.randn(5, 3, 8)
    torch.testing.assert_close(ours(x), theirs(x))
    adapter.merge(ours)
    assert list(ours.state_dict()) == ['qkv.weight', 'qkv.bias']
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_the_start_is_exactly_the_plain_network():
    module = encoder()
    before = module(IMAGE)
    QKVLoRAAdapter().inject(module)
    assert torch.equal(module(IMAGE), before)


def test_the_keys_stay_as_they_were():
    module, plain = encoder(), encoder()
    QKVLoRAAdapter(('q', 'v')).inject(module)
    change(module)
    x = torch.randn(1, 4, 4, 16)
    q, k, v = (module.blocks[0].attn.qkv(x) - plain.blocks[0].attn.qkv(x)).chunk(3, dim=-1)
    assert q.abs().max() > 0.1 and v.abs().max() > 0.1
    assert torch.equal(k, torch.zeros_like(k))


def test_dropout_is_on_the_way_through_the_adapter_alone():
    module, plain = encoder(), encoder()
    QKVLoRAAdapter(('q',), lora_dropout=0.5).inject(module)
    change(module)
    module.train()
    x = torch.randn(1, 4, 4, 16)
    first, second = module.blocks[0].attn.qkv(x), module.blocks[0].attn.qkv(x)
    assert not torch.equal(first[..., :16], second[..., :16])
    assert torch.equal(first[..., 16:], plain.blocks[0].attn.qkv(x)[..., 16:])


@pytest.mark.parametrize('rank, expected', [(4, 147_456), (8, 294_912), (16, 589_824)])
def test_numbers_of_weights_in_vit_b(rank, expected):
    for parts, factor in ((('q', 'v'), 1), (('q', 'k', 'v'), 1.5)):
        module = vit_b()
        QKVLoRAAdapter(parts, r=rank).inject(module)
        assert sum(trainable(module).values()) == factor * expected


@pytest.mark.parametrize('parts', [(), ('q', 'w'), ('q', 'q')], ids=str)
def test_unknown_parts_are_refused(parts):
    with pytest.raises(ValueError, match="expected some of .'q', 'k', 'v'., each once"):
        QKVLoRAAdapter(parts)


def test_a_layer_that_is_no_qkv_is_refused():
    with pytest.raises(ValueError, match="'blocks.0.mlp.lin1' with 64 outputs is not a fused qkv"):
        QKVLoRAAdapter(target_modules=r'blocks\.\d+\.mlp\.lin1').inject(encoder())


def test_a_variant_that_does_not_fit_parts_is_refused():
    with pytest.raises(ValueError, match='QKVLoRAAdapter: .*use_dora'):
        QKVLoRAAdapter(use_dora=True).inject(encoder())
