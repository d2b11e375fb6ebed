"""LoRAAdapter: where it goes, what it adds, and that merging changes nothing."""

import pytest
import torch
from encoders import IMAGE, encoder

from ultrarefiner.models.peft import LoRAAdapter
from ultrarefiner.registry import ADAPTERS


def train_a_little(module):
    """Give the adapter an effect: B starts at zero."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and 'lora_B' in name:
            torch.nn.init.normal_(parameter)


def test_only_the_adapter_trains_and_the_outputs_start_as_they_were():
    module = encoder()
    before = module(IMAGE)
    LoRAAdapter(r=4).inject(module)
    torch.testing.assert_close(module(IMAGE), before)
    trainable = {name: p.numel() for name, p in module.named_parameters() if p.requires_grad}
    assert all('.attn.qkv.lora_' in name for name in trainable)
    assert sum(trainable.values()) == 2 * 4 * (16 + 48)  # two blocks, r * (in + out)


@pytest.mark.parametrize('options', [dict(), dict(use_dora=True), dict(use_rslora=True, lora_alpha=16)], ids=str)
def test_merging_gives_the_plain_module_with_the_same_outputs(options):
    module, plain_names = encoder(), encoder().state_dict().keys()
    adapter = LoRAAdapter(**options)
    before = module(IMAGE)
    adapter.inject(module)
    train_a_little(module)
    adapted = module(IMAGE)
    assert (adapted - before).abs().max() > 1e-2
    adapter.merge(module)
    assert module.state_dict().keys() == plain_names
    torch.testing.assert_close(module(IMAGE), adapted, atol=1e-5, rtol=1e-4)


def test_a_merged_module_can_be_adapted_again():
    module = encoder()
    adapter = LoRAAdapter()
    adapter.inject(module)
    adapter.merge(module)
    adapter.inject(module)
    assert sum(p.requires_grad for p in module.parameters()) == 4


def test_the_update_is_scaled_by_alpha_over_rank():
    updates = []
    for alpha in (4.0, 8.0):
        module = encoder()
        base = module.blocks[0].attn.qkv.weight.clone()
        adapter = LoRAAdapter(lora_alpha=alpha, r=4)
        torch.manual_seed(3)
        adapter.inject(module)
        train_a_little(module)
        adapter.merge(module)
        updates.append(module.blocks[0].attn.qkv.weight - base)
    torch.testing.assert_close(updates[1], 2 * updates[0], atol=1e-5, rtol=1e-4)


def test_target_modules_choose_the_layers():
    module = encoder()
    LoRAAdapter(target_modules=r'blocks\.1\.(attn\.(qkv|proj)|mlp\.lin1)').inject(module)
    adapted = {name.split('.lora_')[0] for name, _ in module.named_parameters() if '.lora_' in name}
    assert adapted == {'blocks.1.attn.qkv', 'blocks.1.attn.proj', 'blocks.1.mlp.lin1'}


def test_names_that_match_nothing_are_answered_with_the_names_there_are():
    with pytest.raises(ValueError) as error:
        LoRAAdapter(target_modules='attention.query').inject(encoder())
    for words in ('attention.query', 'blocks.{i}.attn.qkv', 'blocks.{i}.mlp.lin2', 'patch_embed.proj'):
        assert words in str(error.value)


def test_plain_keys_are_those_of_the_plain_module():
    module = encoder()
    adapter = LoRAAdapter()
    adapter.inject(module)
    plain = [adapter.plain_key(name) for name in module.state_dict()]
    assert sorted(name for name in plain if name) == sorted(encoder().state_dict())
    assert plain.count(None) == 4


def test_merging_what_was_never_adapted_is_refused():
    with pytest.raises(ValueError, match='no LoRA layer'):
        LoRAAdapter().merge(encoder())


def test_an_unknown_option_is_named():
    adapter = ADAPTERS.build(dict(type='LoRAAdapter', rnak=4))
    with pytest.raises(TypeError, match='rnak'):
        adapter.inject(encoder())
