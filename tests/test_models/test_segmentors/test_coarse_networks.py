"""mmseg's UNet, DeepLabV3+ and SegFormer as coarse networks: each trains in phase 1 and gets gradient in phase 3."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import build_runner, prepare_training
from ultrarefiner.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
NAMES = ('unet', 'deeplabv3plus', 'segformer')
LOADER = dict(batch_size=2, num_workers=0, persistent_workers=False)


@pytest.fixture(autouse=True)
def fresh(clean_runner):
    torch.manual_seed(0)


def leaf(name):
    return CONFIGS / name / f'{name}_small_1xb8-4e_busi-96x96.py'


@pytest.mark.parametrize('name', NAMES)
def test_it_trains_from_its_config(name, tiny_root, tmp_path):
    options = {
        'dataset': 'tiny',
        'data_dir': str(tiny_root.parent),
        'out_dir': str(tmp_path),
        'train_cfg.max_epochs': 1,
        'param_scheduler': [dict(type='ConstantLR', factor=1.0)],
        **{
            f'{loader}.{key}': value
            for loader in ('train_dataloader', 'val_dataloader')
            for key, value in LOADER.items()
        },
    }
    runner = build_runner(load_config(leaf(name), options))
    prepare_training(runner)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    assert (tmp_path / 'checkpoints' / name / 'tiny' / 'fold_0' / 'best.pth').is_file()
    assert 0 <= runner.message_hub.get_scalar('val/coarse/Dice').current() <= 1
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and losses[-1] < losses[0]
    still = [key for key, value in runner.model.state_dict().items() if torch.equal(value, before[key])]
    assert still == []


def batch():
    """Two images with a bright disc each."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 48), indexing='ij')
    discs = [(x - shift) ** 2 + y**2 < 0.3 for shift in (0.2, -0.3)]
    images = [(60 + 100 * disc + 20 * torch.rand(3, 40, 48)).to(torch.uint8) for disc in discs]
    return images, [SegDataSample(gt_sem_seg=PixelData(data=disc.long()[None])) for disc in discs]


@pytest.mark.parametrize('name', NAMES)
def test_the_refined_loss_alone_reaches_every_weight_in_phase_3(name, small_parts):
    """With the prompts of the phase-3 config, from which the fragment of the coarse network is all that changes."""
    init_default_scope('ultrarefiner')
    models = CONFIGS / '_base_' / 'models'
    cfg = dict(small_parts, coarse=load_config(leaf(name)).model.coarse, coarse_input=dict(size=(64, 64), grey=True))
    cfg['prompt_generator'] = Config.fromfile(models / 'prompts_point-moment-box-mask.py').prompt_generator
    cfg['losses'] = [dict(type='StageDice', stage='refined'), dict(type='StageBCE', stage='refined')]
    model = MODELS.build(cfg).train()
    with torch.no_grad():
        # Without this bias the random network finds nothing anywhere, and there would be nothing to refine.
        model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))
    sum(model.loss(*batch()).values()).backward()
    silent = [key for key, weight in model.coarse.named_parameters() if weight.grad is None]
    assert silent == []
    head = model.coarse.decode_head.conv_seg.weight.grad
    assert head.isfinite().all() and head.abs().max() > 1e-8


@pytest.mark.parametrize('num_classes', [2, 4])
def test_the_coarse_probabilities_are_those_of_mmsegs_own_prediction(num_classes):
    """SegFormer's logits are a quarter of the size; both resize them before the softmax."""
    init_default_scope('ultrarefiner')
    coarse = load_config(leaf('segformer')).model.coarse
    coarse.decode_head.num_classes = num_classes
    model = MODELS.build(dict(type='CoarseToFine', coarse=coarse, coarse_input=dict(size=(64, 96), grey=True))).eval()
    images, _ = batch()
    inputs, _ = model.coarse_input.prepare(images)
    with torch.no_grad():
        model.coarse.decode_head.conv_seg.weight.mul_(3)
        ours = model.run_coarse(images).probabilities
        metas = [dict(ori_shape=(64, 96), img_shape=(64, 96), pad_shape=(64, 96))] * 2
        theirs = model.coarse.inference(inputs, metas).softmax(dim=1)[:, 1:]
    assert ours.shape == (2, num_classes - 1, 64, 96) and ours.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
