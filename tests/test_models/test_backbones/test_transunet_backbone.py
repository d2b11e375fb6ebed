"""TransUNetBackbone: sizes, shapes, and what goes in."""

import pytest
import torch
import torch.nn.functional as F

from ultrarefiner.models.backbones import TransUNetBackbone
from ultrarefiner.models.backbones.resnet_v2 import StdConv2d
from ultrarefiner.models.backbones.vision_transformer_blocks import SelfAttention

SMALL = dict(
    block_units=(1, 2, 1), width=8, norm_groups=4, hidden_size=16, num_layers=2, num_heads=2, mlp_size=24, dropout=0.0
)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_each_part_at_full_size():
    with torch.device('meta'):
        backbone = TransUNetBackbone()
    assert count(backbone.resnet) == 11_894_848
    assert count(backbone.patch_embedding) == 787_200
    assert backbone.position_embedding.numel() == 150_528
    assert count(backbone.blocks) + count(backbone.norm) == 85_056_000


@pytest.mark.parametrize('size', [(32, 32), (64, 64), (112, 112), (48, 80)])
def test_feature_maps_at_2_4_8_and_16(size):
    height, width = size
    backbone = TransUNetBackbone(img_size=size, **SMALL).eval()
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, height, width))
    expected = [(8, 2), (32, 4), (64, 8), (16, 16)]
    assert [tuple(f.shape) for f in features] == [(2, c, height // s, width // s) for c, s in expected]


def test_second_skip_is_filled_up_with_zeros_at_the_bottom_and_right():
    backbone = TransUNetBackbone(img_size=64, **SMALL).eval()
    with torch.no_grad():
        skip = backbone(torch.rand(1, 3, 64, 64))[1][0]
    zero = (skip == 0).all(dim=0)
    assert zero[-1].all() and zero[:, -1].all()
    assert not zero[:-1, :-1].any()


def test_one_channel_equals_three_repeated_ones():
    backbone = TransUNetBackbone(img_size=32, **SMALL).eval()
    grey = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        one, three = backbone(grey), backbone(grey.repeat(1, 3, 1, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, three))


def test_input_of_another_size_is_refused_with_the_remedy():
    backbone = TransUNetBackbone(img_size=64, **SMALL)
    with pytest.raises(ValueError, match=r'\(32, 64\) pixels.*expected img_size=\(64, 64\).*resize the input'):
        backbone(torch.rand(1, 3, 32, 64))


def test_two_channels_are_refused():
    backbone = TransUNetBackbone(img_size=32, **SMALL)
    with pytest.raises(ValueError, match=r'2 channels, expected 1 .* or 3'):
        backbone(torch.rand(1, 2, 32, 32))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(img_size=100), r'img_size is 100, expected a multiple of 16'),
        (dict(img_size=(64, 40)), r'img_size is 40, expected a multiple of 16'),
        (dict(width=16), r'width is 16, expected a multiple of norm_groups=32'),
        (dict(num_heads=5), r'hidden_size is 768, expected a multiple of num_heads=5'),
    ],
)
def test_arguments_that_cannot_be_divided_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransUNetBackbone(**arguments)


def test_kernel_scale_and_offset_do_not_matter():
    conv = StdConv2d(3, 4, 3, bias=False).double()
    image = torch.rand(1, 3, 8, 8, dtype=torch.double)
    before = conv(image)
    # Large weights, so that eps (1e-5 on the variance) does not show.
    conv.weight.data = conv.weight.data * 1e3
    scaled = conv(image)
    conv.weight.data = conv.weight.data * 2 + 5
    torch.testing.assert_close(conv(image), scaled)
    weight = conv.weight.data
    variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(scaled, F.conv2d(image, (weight - mean) / variance.sqrt()), atol=1e-7, rtol=0)
    assert (before - scaled).abs().max() < 1e-2


def test_attention_is_the_formula():
    attention = SelfAttention(hidden_size=6, num_heads=2).double()
    tokens = torch.randn(2, 5, 6, dtype=torch.double)
    query, key, value = attention.qkv(tokens).chunk(3, dim=-1)
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        weights = (query[..., head] @ key[..., head].transpose(1, 2) / 3**0.5).softmax(dim=-1)
        heads.append(weights @ value[..., head])
    torch.testing.assert_close(attention(tokens), attention.out(torch.cat(heads, dim=-1)))


def test_dropout_only_while_training():
    backbone = TransUNetBackbone(img_size=32, **{**SMALL, 'dropout': 0.5})
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(backbone(image)[3], backbone(image)[3])
        backbone.eval()
        assert torch.equal(backbone(image)[3], backbone(image)[3])
