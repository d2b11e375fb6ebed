"""What is counted, against counts by hand and published ones."""

import copy
import json
from importlib import import_module
from pathlib import Path

import pytest
from mmengine.config import Config

from ultrarefiner.apis.config import load_config
from ultrarefiner.models.segmentors import CoarseToFine
from ultrarefiner.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
FULL = 'ultrarefiner/ultrarefiner_transunet_medsam-b_method-prompts_phase3-1xb2-100e_busi-1024x1024.py'


@pytest.fixture(scope='module')
def tool():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'tools' / 'analysis_tools'))
        yield import_module('get_flops')


@pytest.fixture
def model(small_parts):
    return dict(copy.deepcopy(small_parts), prompt_generator=dict(type='MaskPrompt'))


def costs(tool, model, size=(32, 48)):
    return tool.stage_costs(Config(dict(default_scope='ultrarefiner', model=copy.deepcopy(model))), size)


def test_full_size_networks_cost_what_is_published(tool):
    found = tool.stage_costs(load_config(CONFIGS / FULL), (512, 512))
    assert found['coarse'].flops / 1e9 == pytest.approx(58, rel=0.01)  # TransUNet at 224
    # The public SAM ViT-B at 1024, 972, less the projections of the padding of windows, which ours leaves out: eight
    # blocks with windows, 70 * 70 - 64 * 64 tokens, 768 by 3 * 768 numbers each and as many by 768 for the result.
    padding = 8 * (70**2 - 64**2) * 2 * 768 * (3 + 1) * 768
    assert (found['image encoder'].flops + padding) / 1e9 == pytest.approx(972, rel=0.001)
    assert found['image encoder'].frozen == 89_670_912 and found['image encoder'].trainable == 0
    assert found['whole'].flops == sum(cost.flops for stage, cost in found.items() if stage != 'whole')


def test_parameters_are_those_of_the_model(tool, model):
    found = costs(tool, model)
    built = MODELS.build(model)
    assert isinstance(built, CoarseToFine)
    weights = list(built.parameters())
    assert found['whole'].trainable == sum(weight.numel() for weight in weights if weight.requires_grad)
    assert found['whole'].frozen == sum(weight.numel() for weight in weights if not weight.requires_grad)
    assert found['coarse'].trainable == sum(weight.numel() for weight in built.coarse.parameters())


def test_a_1x1_convolution_by_hand(tool):
    coarse = dict(
        type='EncoderDecoder',
        backbone=dict(type='UNet', in_channels=3, base_channels=4, num_stages=1, strides=(1,), enc_num_convs=(1,),
                      dec_num_convs=(), downsamples=(), enc_dilations=(1,), dec_dilations=()),
        decode_head=dict(type='FCNHead', in_channels=4, channels=4, num_convs=0, concat_input=False, num_classes=2,
                         in_index=0),
    )  # fmt: skip
    found = costs(tool, dict(type='CoarseToFine', coarse=coarse, coarse_input=dict(size=(8, 16))))
    pixels = 8 * 16
    assert found['coarse'].flops == 2 * pixels * (3 * 9 * 4 + 4 * 2)
    assert found['coarse'].activations == pixels * (4 + 2)
    assert set(found) == {'coarse', 'whole'}


def test_wrappers_count_what_they_make_the_held_refiner_do(tool, model):
    plain = costs(tool, model)
    roi = costs(tool, dict(model, refiner=dict(type='ROIRefiner', refiner=model['refiner'])))
    assert roi['image encoder'].flops == plain['image encoder'].flops  # of the window, while it decodes
    assert roi['whole'].trainable + roi['whole'].frozen == plain['whole'].trainable + plain['whole'].frozen
    twice = costs(tool, dict(model, refiner=dict(type='IterativeRefiner', num_iterations=2, refiner=model['refiner'])))
    assert twice['image encoder'].flops == plain['image encoder'].flops
    assert twice['decoder'].flops == 2 * plain['decoder'].flops > 0


def test_command_line(tool, tmp_path, capsys):
    config = str(CONFIGS / 'transunet' / 'transunet_small_1xb8-4e_busi-96x96.py')
    out = tmp_path / 'cost.json'
    tool.main([config, '--size', '64', '80', '--json', str(out)])
    assert 'one image of 64 x 80 pixels' in capsys.readouterr().out
    written = json.loads(out.read_text())
    assert written['image_size'] == [64, 80]
    assert written['stages']['whole']['flops'] == 2 * written['stages']['whole']['macs'] > 0
    for arguments, message in (
        ([config, '--json', str(out)], 'exists already'),
        ([config, '--size', '0', '1'], 'expected 1 or more'),
        ([str(tmp_path)], 'is a folder; give a config, a checkpoint'),
        ([str(tmp_path / 'best.pth')], 'best.pth'),
    ):
        with pytest.raises(SystemExit, match='2'):
            tool.main(arguments)
        assert message in capsys.readouterr().err
