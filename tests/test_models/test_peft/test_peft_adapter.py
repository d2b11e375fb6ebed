"""PEFTAdapter: peft's own results, the exact number of weights, and a start that follows the weights loaded later."""

import copy

import pytest
import torch
from encoders import IMAGE, change, encoder, trainable, vit_b
from peft import LoHaConfig, LoraConfig, get_peft_model

from ultrarefiner.models.peft import LoRAAdapter, PEFTAdapter
from ultrarefiner.registry import ADAPTERS

QKV = r'blocks\.\d+\.attn\.qkv'


@pytest.mark.parametrize(
    'adapter, config',
    [
        (LoRAAdapter(r=3, lora_alpha=6.0), LoraConfig(target_modules=QKV, r=3, lora_alpha=6.0)),
        (
            LoRAAdapter(use_dora=True, target_modules=['proj']),
            LoraConfig(target_modules=['proj'], r=4, lora_alpha=4.0, use_dora=True),
        ),
        (PEFTAdapter('loha', r=2, alpha=4), LoHaConfig(target_modules=QKV, r=2, alpha=4)),
    ],
    ids=['LoRA', 'DoRA', 'LoHa'],
)
def test_an_adapted_network_is_the_one_that_peft_makes(adapter, config):
    ours, theirs = encoder(), get_peft_model(encoder(), config)
    adapter.inject(ours)
    change(ours)
    theirs.base_model.model.load_state_dict(ours.state_dict())
    assert torch.equal(ours(IMAGE), theirs(IMAGE))
    adapter.merge(ours)
    torch.testing.assert_close(ours(IMAGE), theirs.merge_and_unload()(IMAGE))


@pytest.mark.parametrize('rank, unit', [(4, 147_456), (8, 294_912), (16, 589_824)])
def test_numbers_of_weights_in_vit_b(rank, unit):
    counts = {
        QKV: unit,
        r'blocks\.\d+\.attn\.(qkv|proj)': unit * 3 // 2,
        r'blocks\.\d+\.mlp\.lin[12]': unit * 5 // 2,
        r'blocks\.(9|10|11)\.attn\.qkv': unit // 4,
    }
    for target_modules, expected in counts.items():
        module = vit_b()
        LoRAAdapter(target_modules, r=rank).inject(module)
        assert sum(trainable(module).values()) == expected, target_modules


def test_blocks_are_chosen_by_pattern_or_by_number():
    by_pattern, by_number = encoder(), encoder()
    LoRAAdapter(r'blocks\.1\.mlp\.lin[12]').inject(by_pattern)
    LoRAAdapter(['lin1', 'lin2'], layers_to_transform=[1], layers_pattern='blocks').inject(by_number)
    assert trainable(by_pattern) == trainable(by_number)
    assert {name.split('.lora_')[0] for name in trainable(by_pattern)} == {'blocks.1.mlp.lin1', 'blocks.1.mlp.lin2'}


@pytest.mark.parametrize('options', [dict(use_dora=True), dict(init_lora_weights='pissa')], ids=str)
def test_weights_loaded_after_the_injection_are_the_ones_it_starts_from(options):
    """DoRA's magnitudes and PiSSA's factors are made of the plain weights; those of the random ones would stay."""
    module, other = encoder(), encoder()
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.5)
    adapter = LoRAAdapter(**options)
    adapter.inject(module)
    weights = list(module.parameters())
    state = {
        name: other.state_dict().get(adapter.plain_key(name), value) for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    assert (module(IMAGE) - other(IMAGE)).abs().max() > 1e-2
    adapter.restart(module)
    torch.testing.assert_close(module(IMAGE), other(IMAGE), atol=1e-5, rtol=1e-4)
    assert all(before is after for before, after in zip(weights, module.parameters()))


@pytest.mark.parametrize('name', ['adalora', 'Lora2', 'VERA'])
def test_a_method_that_does_not_fit_is_refused_with_those_that_do(name):
    with pytest.raises(ValueError, match=f"method is '{name}', expected one of .*LOHA, LOKR, LORA"):
        ADAPTERS.build(dict(type='PEFTAdapter', method=name))


@pytest.mark.parametrize('method', ['LoRA', 'LoHa', 'IA3'])
def test_names_that_match_nothing_are_refused_by_every_method(method):
    options = dict(feedforward_modules='none') if method == 'IA3' else {}
    with pytest.raises(ValueError, match=r"PEFTAdapter: .*'none'.*blocks.\{i\}.attn.qkv"):
        PEFTAdapter(method, target_modules='none', **options).inject(encoder())


def test_one_name_of_a_list_that_matches_nothing_is_refused():
    with pytest.raises(ValueError, match=r'LoRAAdapter: prj matches no layer. .* are .*blocks.\{i\}.attn.proj'):
        LoRAAdapter(['qkv', 'prj']).inject(encoder())


def test_merging_twice_is_refused():
    module = encoder()
    adapter = PEFTAdapter('LoKr', r=2)
    adapter.inject(module)
    adapter.merge(module)
    with pytest.raises(ValueError, match='there is no LoKr layer to merge in ImageEncoderViT'):
        adapter.merge(module)


def test_a_copy_keeps_its_adapter():
    module = encoder()
    adapter = LoRAAdapter()
    adapter.inject(module)
    change(module)
    twin = copy.deepcopy(module)
    adapter.merge(twin)
    torch.testing.assert_close(twin(IMAGE), module(IMAGE), atol=1e-5, rtol=1e-4)
    assert any('lora_A' in name for name in module.state_dict())
