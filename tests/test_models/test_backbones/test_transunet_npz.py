"""Reading weights in the format that Google published them in."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ultrarefiner.models.backbones import TransUNetBackbone

SIZES = dict(block_units=(1, 2, 1), width=8, norm_groups=4, hidden_size=12, num_layers=2, num_heads=3, mlp_size=20)
POSITIONS = 'Transformer/posembed_input/pos_embedding'
FIRST = 'Transformer/encoderblock_0'


@pytest.fixture
def arrays():
    """Random weights of a small model on a 4 x 4 grid, named and shaped as published."""
    rng = np.random.default_rng(0)
    shapes = {
        'cls': (1, 1, 12),
        'head/kernel': (12, 5),
        'head/bias': (5,),
        'conv_root/kernel': (7, 7, 3, 8),
        'gn_root/scale': (1, 1, 1, 8),
        'gn_root/bias': (1, 1, 1, 8),
        'embedding/kernel': (1, 1, 128, 12),
        'embedding/bias': (12,),
        POSITIONS: (1, 17, 12),
        'Transformer/encoder_norm/scale': (12,),
        'Transformer/encoder_norm/bias': (12,),
    }
    for stage, unit, inputs, middle in [(1, 1, 8, 8), (2, 1, 32, 16), (2, 2, 64, 16), (3, 1, 64, 32)]:
        prefix = f'block{stage}/unit{unit}'
        convs = {'1': (1, 1, inputs, middle), '2': (3, 3, middle, middle), '3': (1, 1, middle, 4 * middle)}
        if unit == 1:
            convs['_proj'] = (1, 1, inputs, 4 * middle)
        for name, shape in convs.items():
            shapes[f'{prefix}/conv{name}/kernel'] = shape
            shapes[f'{prefix}/gn{name}/scale'] = shapes[f'{prefix}/gn{name}/bias'] = (1, 1, 1, shape[-1])
    for layer in (0, 1):
        prefix = f'Transformer/encoderblock_{layer}'
        for norm in ('LayerNorm_0', 'LayerNorm_2'):
            shapes[f'{prefix}/{norm}/scale'] = shapes[f'{prefix}/{norm}/bias'] = (12,)
        for part in ('query', 'key', 'value'):
            shapes[f'{prefix}/MultiHeadDotProductAttention_1/{part}/kernel'] = (12, 3, 4)
            shapes[f'{prefix}/MultiHeadDotProductAttention_1/{part}/bias'] = (3, 4)
        shapes[f'{prefix}/MultiHeadDotProductAttention_1/out/kernel'] = (3, 4, 12)
        shapes[f'{prefix}/MultiHeadDotProductAttention_1/out/bias'] = (12,)
        shapes[f'{prefix}/MlpBlock_3/Dense_0/kernel'] = (12, 20)
        shapes[f'{prefix}/MlpBlock_3/Dense_0/bias'] = (20,)
        shapes[f'{prefix}/MlpBlock_3/Dense_1/kernel'] = (20, 12)
        shapes[f'{prefix}/MlpBlock_3/Dense_1/bias'] = (12,)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def load(path, img_size=64):
    backbone = TransUNetBackbone(
        img_size=img_size, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **SIZES
    ).eval()
    backbone.init_weights()
    return backbone


def save(path, arrays):
    np.savez(path, **arrays)
    return path


def test_every_parameter_is_filled(arrays, tmp_path):
    path = save(tmp_path / 'weights.npz', arrays)
    # Two different random starts end up alike, so nothing keeps its start.
    one, two = load(path).state_dict(), load(path).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    published = sum(array.size for name, array in arrays.items() if name not in ('cls', 'head/kernel', 'head/bias'))
    assert sum(value.numel() for value in one.values()) == published - arrays['cls'].size  # the class token's position


def test_attention_and_perceptron_compute_what_the_published_arrays_mean(arrays, tmp_path):
    block = load(save(tmp_path / 'weights.npz', arrays)).blocks[0]
    tokens = torch.randn(1, 6, 12)
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    prefix = f'{FIRST}/MultiHeadDotProductAttention_1'
    query, key, value = (
        torch.einsum('nld,dhk->nhlk', tokens, weights[f'{prefix}/{part}/kernel'])
        + weights[f'{prefix}/{part}/bias'][:, None]
        for part in ('query', 'key', 'value')
    )
    mixed = (query @ key.transpose(-1, -2) / 2).softmax(dim=-1) @ value
    expected = torch.einsum('nhlk,hkd->nld', mixed, weights[f'{prefix}/out/kernel']) + weights[f'{prefix}/out/bias']
    torch.testing.assert_close(block.attention(tokens), expected, atol=1e-4, rtol=1e-4)
    prefix = f'{FIRST}/MlpBlock_3'
    hidden = F.gelu(tokens @ weights[f'{prefix}/Dense_0/kernel'] + weights[f'{prefix}/Dense_0/bias'])
    expected = hidden @ weights[f'{prefix}/Dense_1/kernel'] + weights[f'{prefix}/Dense_1/bias']
    torch.testing.assert_close(block.mlp(tokens), expected, atol=1e-4, rtol=1e-4)


def test_kernels_are_turned_and_norms_flattened(arrays, tmp_path):
    backbone = load(save(tmp_path / 'weights.npz', arrays))
    assert backbone.resnet.root[0].weight[5, 2, 1, 6].item() == arrays['conv_root/kernel'][1, 6, 2, 5]
    bottleneck = backbone.resnet.stages[1][0]
    assert bottleneck.conv2.weight[3, 7, 0, 2].item() == arrays['block2/unit1/conv2/kernel'][0, 2, 7, 3]
    assert bottleneck.shortcut[0].weight[9, 4, 0, 0].item() == arrays['block2/unit1/conv_proj/kernel'][0, 0, 4, 9]
    assert bottleneck.shortcut[1].bias[9].item() == arrays['block2/unit1/gn_proj/bias'][0, 0, 0, 9]
    assert backbone.blocks[1].norm2.weight[3].item() == arrays['Transformer/encoderblock_1/LayerNorm_2/scale'][3]


def test_positions_drop_the_class_token_on_the_same_grid(arrays, tmp_path):
    backbone = load(save(tmp_path / 'weights.npz', arrays))
    assert np.array_equal(backbone.position_embedding.detach().numpy(), arrays[POSITIONS][:, 1:])


def test_positions_are_interpolated_between_the_corners(arrays, tmp_path):
    arrays[POSITIONS] = arrays[POSITIONS][:, :5]  # a 2 x 2 grid
    grid = arrays[POSITIONS][0, 1:].reshape(2, 2, 12)
    positions = load(save(tmp_path / 'weights.npz', arrays), img_size=48).position_embedding.detach().view(3, 3, 12)
    np.testing.assert_allclose(positions[::2, ::2], grid, atol=1e-6)
    np.testing.assert_allclose(positions[1, 1], grid.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(positions[0, 1], grid[0].mean(axis=0), atol=1e-6)


def test_positions_on_a_grid_that_is_not_square(arrays, tmp_path):
    arrays[POSITIONS] = arrays[POSITIONS][:, :5]
    grid = arrays[POSITIONS][0, 1:].reshape(2, 2, 12)
    positions = load(save(tmp_path / 'weights.npz', arrays), img_size=(32, 48)).position_embedding.detach()
    np.testing.assert_allclose(positions.view(2, 3, 12)[:, 1], grid.mean(axis=1), atol=1e-6)


def test_missing_and_surplus_arrays_are_listed(arrays, tmp_path):
    del arrays['gn_root/bias'], arrays[POSITIONS]
    arrays['block1/unit2/conv1/kernel'] = np.zeros(1)
    path = save(tmp_path / 'weights.npz', arrays)
    expected = f"missing ['{POSITIONS}', 'gn_root/bias'], surplus ['block1/unit2/conv1/kernel']"
    with pytest.raises(ValueError, match=re.escape(expected)):
        load(path)


def test_wrong_shapes_are_named_and_nothing_is_changed(arrays, tmp_path):
    arrays[f'{FIRST}/MlpBlock_3/Dense_0/kernel'] = np.zeros((12, 21))
    arrays['gn_root/scale'] = np.zeros((1, 1, 1, 9))
    path = save(tmp_path / 'weights.npz', arrays)
    backbone = TransUNetBackbone(img_size=64, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **SIZES)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        backbone.init_weights()
    assert 'gn_root/scale is (1, 1, 1, 9), expected (8,)' in str(caught.value)
    assert 'Dense_0/kernel is (12, 21), expected (12, 20)' in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_positions_that_are_no_square_grid_are_refused(arrays, tmp_path):
    arrays[POSITIONS] = arrays[POSITIONS][:, :12]
    with pytest.raises(ValueError, match=r'pos_embedding is \(1, 12, 12\), expected \(1, 1 \+ g \* g, 12\)'):
        load(save(tmp_path / 'weights.npz', arrays))


def test_absent_file_says_what_it_is_and_how_to_go_on(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path / 'R50+ViT-B_16.npz')
    for part in (
        str(tmp_path / 'R50+ViT-B_16.npz'),
        'ImageNet-21k weights',
        'https://storage.googleapis.com/vit_models/imagenet21k/R50+ViT-B_16.npz',
        'init_cfg=None',
    ):
        assert part in str(caught.value)


def write_truncated(path):
    np.savez(path, conv=np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:2000])


def write_damaged(path):
    np.savez_compressed(path, conv=np.random.default_rng(0).standard_normal(1000))
    content = bytearray(path.read_bytes())
    content[500:600] = bytes(100)
    path.write_bytes(content)


def write_array(path):
    with path.open('wb') as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    'write',
    [
        lambda path: path.write_bytes(b'<html>404</html>'),
        lambda path: path.write_bytes(b''),
        lambda path: np.savez(path, conv=np.array([{'pickled': 1}], dtype=object)),
        lambda path: np.savez(path, conv=np.array(['text'])),
        write_array,
        write_truncated,
        write_damaged,
    ],
    ids=['html', 'empty', 'pickled', 'text', 'npy', 'truncated', 'damaged'],
)
def test_unreadable_file_gives_one_message(tmp_path, write):
    write(tmp_path / 'weights.npz')
    with pytest.raises(ValueError, match=r'weights\.npz is no intact \.npz file of numeric arrays .*download it again'):
        load(tmp_path / 'weights.npz')


def test_pth_goes_through_mmengine(tmp_path):
    source = TransUNetBackbone(img_size=64, **SIZES)
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    loaded = load(tmp_path / 'weights.pth').state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in source.state_dict().items())


def test_other_initialisers_run_before_the_file(arrays, tmp_path):
    arrays['embedding/bias'][:] = 5
    path = save(tmp_path / 'weights.npz', arrays)
    init_cfg = [
        dict(type='Pretrained', checkpoint=str(path)),
        dict(type='Constant', layer='Conv2d', val=3.0, bias=3.0),
    ]
    backbone = TransUNetBackbone(img_size=64, init_cfg=init_cfg, **SIZES)
    backbone.init_weights()
    assert (backbone.patch_embedding.bias == 5).all()
    backbone = TransUNetBackbone(img_size=64, init_cfg=init_cfg[1], **SIZES)
    backbone.init_weights()
    assert (backbone.patch_embedding.bias == 3).all()
