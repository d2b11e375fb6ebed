"""TransUNetHead, and the network that mmseg's EncoderDecoder makes of it and its backbone."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.models.decode_heads import TransUNetHead
from ultrarefiner.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / 'configs/_base_/models'
TINY_BACKBONE = dict(
    type='TransUNetBackbone',
    img_size=32,
    block_units=(1, 1, 1),
    width=8,
    norm_groups=4,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    mlp_size=24,
    dropout=0.0,
)
TINY_HEAD = dict(
    type='TransUNetHead', in_channels=(8, 32, 64, 16), stem_channels=16, decoder_channels=(16, 8, 8, 4), num_classes=2
)


def build(backbone, decode_head, **others):
    with DefaultScope.overwrite_default_scope('ultrarefiner'):
        return MODELS.build(dict(type='EncoderDecoder', backbone=backbone, decode_head=decode_head, **others))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ('img_size', 'num_classes', 'parameters'), [(224, 2, 105_276_066), (224, 9, 105_277_081), (256, 2, 105_322_146)]
)
def test_parameters_at_full_size(img_size, num_classes, parameters):
    with torch.device('meta'):
        model = build(
            dict(type='TransUNetBackbone', img_size=img_size), dict(type='TransUNetHead', num_classes=num_classes)
        )
    assert count(model) == parameters
    assert count(model.decode_head) - count(model.decode_head.conv_seg) == 7_387_200


@pytest.mark.parametrize(
    ('name', 'parameters'), [('coarse_transunet_r50-vit-b16', 105_276_066), ('coarse_transunet-small', 1_552_514)]
)
def test_config_fragments_set_one_variable(name, parameters):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    assert list(config.keys()) == ['coarse']
    with DefaultScope.overwrite_default_scope('ultrarefiner'), torch.device('meta'):
        model = MODELS.build({key: value for key, value in copy.deepcopy(config.coarse).items() if key != 'name'})
        size = config.coarse.backbone.img_size
        assert model(torch.empty(2, 1, *size), mode='tensor').shape == (2, 2, *size)
    assert count(model) == parameters


def test_gradient_reaches_every_parameter():
    model = build(TINY_BACKBONE, TINY_HEAD)
    F.cross_entropy(
        model(torch.rand(2, 1, 32, 32), mode='tensor'), torch.randint(2, (2, 32, 32), generator=torch.Generator())
    ).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_loss_and_prediction_through_mmseg():
    model = build(TINY_BACKBONE, TINY_HEAD, test_cfg=ConfigDict(mode='whole')).eval()
    image = torch.rand(1, 3, 32, 32)
    label = (torch.arange(32) > 11).long().expand(1, 32, 32)
    sample = SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32)))
    logits = model(image, mode='tensor')
    loss = model(image, [sample], mode='loss')['decode.loss_ce']
    torch.testing.assert_close(loss, F.cross_entropy(logits, label))
    prediction = model(image, [sample], mode='predict')[0].pred_sem_seg.data
    assert torch.equal(prediction, logits.argmax(dim=1))


@pytest.mark.parametrize('used', [(0, 1, 2, 3), (1, 2, 3), (2, 3), (3,)])
def test_skips_are_used_deepest_first(used):
    channels = (4, 6, 8, 10)
    head = TransUNetHead(
        in_channels=[channels[i] for i in used],
        in_index=used,
        stem_channels=12,
        decoder_channels=(8, 6, 4, 2),
        num_classes=3,
    ).eval()
    features = [torch.rand(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(channels)]
    logits = head(features)
    assert logits.shape == (1, 3, 32, 32)
    joined = [block.conv1.conv.in_channels for block in head.blocks]
    skips = [8 if 2 in used else 0, 6 if 1 in used else 0, 4 if 0 in used else 0, 0]
    assert joined == [before + skip for before, skip in zip((12, 8, 6, 4), skips)]
    for index in range(4):
        changed = [f + (i == index) for i, f in enumerate(features)]
        assert torch.equal(head(changed), logits) == (index not in used)


def test_fewer_doublings_give_smaller_logits():
    head = TransUNetHead((8, 10), (2, 3), stem_channels=12, decoder_channels=(8, 6, 4), num_classes=2).eval()
    features = [None, None, torch.rand(1, 8, 4, 4), torch.rand(1, 10, 2, 2)]
    assert head(features).shape == (1, 2, 16, 16)


def test_channels_and_indices_must_agree():
    with pytest.raises(ValueError, match=r'in_channels \(8, 10\) and in_index \(3,\) differ in length'):
        TransUNetHead((8, 10), (3,), num_classes=2)


def test_more_skips_than_doublings_are_refused():
    with pytest.raises(ValueError, match=r'3 skips, expected at most one for each of the 2 decoder_channels'):
        TransUNetHead(decoder_channels=(8, 6), num_classes=2)
