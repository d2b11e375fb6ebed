"""The converter of checkpoints of the original TransUNet code.

`REFERENCE` was recorded from the original implementation (github.com/Beckschen/TransUNet, networks/vit_seg_modeling.py,
float32, evaluation mode): its R50-ViT-B_16 config with the sizes of `SMALL`, the state dict that `original_state_dict`
and `fill` make, and the input that `test_same_logits_as_the_original` makes.
"""

import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from run_tool import load_tool

from ultrarefiner.registry import MODELS
from ultrarefiner.utils.transunet_checkpoint import convert_transunet_checkpoint

TOOL = Path(__file__).resolve().parents[2] / 'tools/model_converters/transunet.py'
FULL = dict(units=(3, 4, 9), width=64, hidden=768, layers=12, mlp=3072, decoder=(256, 128, 64, 16), grid=14, classes=2)
SMALL = dict(units=(1, 2, 1), width=32, hidden=32, layers=2, mlp=48, decoder=(16, 8, 8, 4), grid=4, classes=3)
REFERENCE = {  # (image, class, row, column): logit
    (0, 0, 0, 0): -0.187122,
    (0, 0, 63, 63): -0.489050,
    (0, 1, 31, 32): -0.435755,
    (0, 2, 5, 50): 0.453040,
    (1, 0, 20, 7): -0.146488,
    (1, 1, 63, 0): 0.554386,
    (1, 2, 40, 41): -0.184799,
}
SMALL_OPTIONS = ['--block-units', '1', '2', '1', '--num-layers', '2']


def original_state_dict(units, width, hidden, layers, mlp, decoder, grid, classes):
    """Pairs (name, shape) of the original's state dict, with 512 channels in the decoder's first convolution."""
    resnet = 'transformer.embeddings.hybrid_model'

    def norm(name, channels):
        yield f'{name}.weight', (channels,)
        yield f'{name}.bias', (channels,)

    def linear(name, inputs, outputs):
        yield f'{name}.weight', (outputs, inputs)
        yield f'{name}.bias', (outputs,)

    def conv_bn(name, inputs, outputs):
        yield f'{name}.0.weight', (outputs, inputs, 3, 3)
        yield from norm(f'{name}.1', outputs)
        yield f'{name}.1.running_mean', (outputs,)
        yield f'{name}.1.running_var', (outputs,)
        yield f'{name}.1.num_batches_tracked', ()

    yield 'transformer.embeddings.position_embeddings', (1, grid * grid, hidden)
    yield f'{resnet}.root.conv.weight', (width, 3, 7, 7)
    yield from norm(f'{resnet}.root.gn', width)
    inputs = width
    for stage, count in enumerate(units):
        middle = width * 2**stage
        for unit in range(1, count + 1):
            name = f'{resnet}.body.block{stage + 1}.unit{unit}'
            shapes = [(middle, inputs, 1, 1), (middle, middle, 3, 3), (4 * middle, middle, 1, 1)]
            for index, shape in enumerate(shapes, start=1):
                yield f'{name}.conv{index}.weight', shape
                yield from norm(f'{name}.gn{index}', shape[0])
            if unit == 1:
                yield f'{name}.downsample.weight', (4 * middle, inputs, 1, 1)
                yield from norm(f'{name}.gn_proj', 4 * middle)
            inputs = 4 * middle
    yield 'transformer.embeddings.patch_embeddings.weight', (hidden, inputs, 1, 1)
    yield 'transformer.embeddings.patch_embeddings.bias', (hidden,)
    for layer in range(layers):
        name = f'transformer.encoder.layer.{layer}'
        for part in ('query', 'key', 'value', 'out'):
            yield from linear(f'{name}.attn.{part}', hidden, hidden)
        yield from norm(f'{name}.attention_norm', hidden)
        yield from norm(f'{name}.ffn_norm', hidden)
        yield from linear(f'{name}.ffn.fc1', hidden, mlp)
        yield from linear(f'{name}.ffn.fc2', mlp, hidden)
    yield from norm('transformer.encoder.encoder_norm', hidden)
    yield from conv_bn('decoder.conv_more', hidden, 512)
    inputs = 512
    for block, (skip, outputs) in enumerate(zip((8 * width, 4 * width, width, 0), decoder)):
        yield from conv_bn(f'decoder.blocks.{block}.conv1', inputs + skip, outputs)
        yield from conv_bn(f'decoder.blocks.{block}.conv2', outputs, outputs)
        inputs = outputs
    yield 'segmentation_head.0.weight', (classes, inputs, 3, 3)
    yield 'segmentation_head.0.bias', (classes,)


def waves(shape, phase):
    """A tensor in [-1, 1] that every platform makes alike: sines in double precision."""
    count = torch.Size(shape).numel()
    index = torch.arange(count, dtype=torch.float64)
    return torch.sin(1.7 * index + (0.003 * index % 11) * index + phase).float().reshape(shape)


def fill(names):
    """The state dict with values; norms near 1, other weights by their fan-in."""
    filled = {}
    for phase, (name, shape) in enumerate(sorted(names)):
        if name.endswith('num_batches_tracked'):
            filled[name] = torch.tensor(7)
        elif name.endswith('running_var') or (name.endswith('weight') and len(shape) == 1):
            filled[name] = 1 + 0.3 * waves(shape, phase)
        elif name.endswith('weight'):
            filled[name] = 2 * waves(shape, phase) / torch.Size(shape[1:]).numel() ** 0.5
        else:
            filled[name] = 0.3 * waves(shape, phase)
    return filled


def build(units, width, hidden, layers, mlp, decoder, grid, classes, heads=2, init_cfg=None):
    config = dict(
        type='EncoderDecoder',
        backbone=dict(
            type='TransUNetBackbone',
            img_size=16 * grid,
            block_units=units,
            width=width,
            hidden_size=hidden,
            num_layers=layers,
            num_heads=heads,
            mlp_size=mlp,
        ),
        decode_head=dict(
            type='TransUNetHead',
            in_channels=(width, 4 * width, 8 * width, hidden),
            decoder_channels=decoder,
            num_classes=classes,
        ),
        init_cfg=init_cfg,
    )
    with DefaultScope.overwrite_default_scope('ultrarefiner'):
        return MODELS.build(config).eval()


@pytest.fixture(scope='module')
def original():
    return fill(original_state_dict(**SMALL))


@pytest.fixture(scope='module')
def tool():
    return load_tool(TOOL)


def test_full_size_has_409_entries_that_fill_the_full_model_exactly():
    with torch.device('meta'):
        original = {name: torch.empty(shape) for name, shape in original_state_dict(**FULL)}
        model = build(**FULL, heads=12)
    assert len(original) == 409
    model.load_state_dict(convert_transunet_checkpoint(original), strict=True)


def test_same_logits_as_the_original(original):
    model = build(**SMALL)
    model.load_state_dict(convert_transunet_checkpoint(original, SMALL['units'], SMALL['layers']), strict=True)
    with torch.no_grad():
        logits = model(waves((2, 1, 64, 64), phase=0), mode='tensor')
    assert logits.shape == (2, 3, 64, 64)
    for place, expected in REFERENCE.items():
        assert logits[place].item() == pytest.approx(expected, abs=1e-4), place


@pytest.mark.parametrize(
    ('wrap', 'prefix'),
    [
        (dict, ''),
        (lambda state: {'model': state, 'epoch': 3}, ''),
        (lambda state: {'state_dict': state}, 'module.'),
    ],
    ids=['alone', 'model', 'state_dict with module.'],
)
def test_file_that_the_tool_writes_is_loaded_by_init_cfg(tool, original, tmp_path, wrap, prefix):
    src, dst = tmp_path / 'original.pth', tmp_path / 'new/ours.pth'
    torch.save(wrap({prefix + name: value for name, value in original.items()}), src)
    tool.main([str(src), str(dst), *SMALL_OPTIONS])
    assert torch.load(dst, weights_only=True)['meta'] == dict(img_size=64, num_classes=3)
    model = build(**SMALL, init_cfg=dict(type='Pretrained', checkpoint=str(dst)))
    model.init_weights()
    expected = convert_transunet_checkpoint(original, SMALL['units'], SMALL['layers'])
    state = model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_tool_overwrites_only_when_forced(tool, original, tmp_path, capsys):
    src, dst = tmp_path / 'original.pth', tmp_path / 'ours.pth'
    torch.save(original, src)
    dst.write_text('precious')
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(src), str(dst), *SMALL_OPTIONS])
    assert re.search(r'ours\.pth exists.*--force', capsys.readouterr().err)
    assert dst.read_text() == 'precious'
    tool.main([str(src), str(dst), *SMALL_OPTIONS, '--force'])
    assert len(torch.load(dst, weights_only=True)['state_dict']) == len(original) - 2 * 4


def test_missing_and_surplus_entries_are_listed(tool, original, tmp_path, capsys):
    changed = {**original, 'other.weight': torch.zeros(1)}
    del changed['transformer.encoder.layer.1.attn.key.bias']
    torch.save(changed, tmp_path / 'original.pth')
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(tmp_path / 'original.pth'), str(tmp_path / 'ours.pth'), *SMALL_OPTIONS])
    message = capsys.readouterr().err
    assert "missing ['transformer.encoder.layer.1.attn.key.bias']" in message
    assert "surplus ['other.weight']" in message
    assert 'original.pth' in message
    assert not (tmp_path / 'ours.pth').exists()


def test_another_depth_is_refused(original):
    with pytest.raises(ValueError, match=r'block_units=\(3, 4, 9\).*missing .*block3\.unit9.*surplus \[\]'):
        convert_transunet_checkpoint(original)


@pytest.mark.parametrize(
    ('write', 'expected'),
    [
        (lambda path: None, 'not found; expected a checkpoint of the original'),
        (lambda path: path.write_bytes(b'no checkpoint'), 'cannot be read as weights alone'),
        (lambda path: torch.save({'model': Path('x')}, path), 'cannot be read as weights alone'),
        (lambda path: torch.save({'epoch': 3}, path), r"holds no state dict.*found \['epoch'\]"),
    ],
    ids=['absent', 'garbage', 'foreign objects', 'no state dict'],
)
def test_unusable_file_gives_one_message(tool, tmp_path, capsys, write, expected):
    write(tmp_path / 'original.pth')
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(tmp_path / 'original.pth'), str(tmp_path / 'ours.pth')])
    assert re.search(rf'original\.pth.*{expected}', capsys.readouterr().err)
