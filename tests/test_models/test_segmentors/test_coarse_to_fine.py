"""CoarseToFine: parts fit or say why not; gradient reaches the coarse network through each prompt; phases freeze."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.models.segmentors.coarse_to_fine import to_labels
from ultrarefiner.registry import MODELS

GENERATORS = {
    'SoftArgmaxPoint': dict(type='SoftArgmaxPoint'),
    'NegativePoint': dict(type='NegativePoint'),
    'MomentBox': dict(type='MomentBox'),
    'MaskPrompt': dict(type='MaskPrompt'),
    'ThresholdBox': dict(type='ThresholdBox'),
}
REFINED = [dict(type='StageBCE', stage='refined'), dict(type='StageDice', stage='refined')]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)


def config(small_parts, prompt_generator=None, **changes):
    cfg = copy.deepcopy(small_parts)
    cfg.update(prompt_generator=prompt_generator or GENERATORS['MaskPrompt'], losses=REFINED)
    cfg.update(changes)
    return cfg


def batch(sizes=((48, 40), (33, 64))):
    """Images with a bright disc, of different sizes, with their masks."""
    images, samples = [], []
    for height, width in sizes:
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing='ij')
        disc = (x - 0.2) ** 2 + y**2 < 0.25
        images.append((60 + 100 * disc + 20 * torch.rand(3, height, width)).to(torch.uint8))
        sample = SegDataSample(gt_sem_seg=PixelData(data=disc.long()[None]))
        sample.set_metainfo(dict(ori_shape=(height, width)))
        samples.append(sample)
    return images, samples


class BrightnessCoarse(torch.nn.Module):
    """A coarse network whose logits follow the brightness, with one weight, so that its mask is never empty."""

    one_vs_rest = True

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.gain * (inputs - 0.4)


def with_brightness_coarse(model):
    model.coarse = BrightnessCoarse()
    return model


@pytest.mark.parametrize('name', GENERATORS)
def test_the_refined_loss_alone_reaches_the_coarse_network_through_each_prompt(small_parts, name):
    model = with_brightness_coarse(MODELS.build(config(small_parts, GENERATORS[name])))
    losses = model.loss(*batch())
    sum(losses.values()).backward()
    gradient = model.coarse.gain.grad
    if name == 'ThresholdBox':
        assert gradient is None
    else:
        assert gradient.abs().item() > 1e-12


def test_the_gradient_reaches_every_weight_of_transunet(small_parts):
    model = MODELS.build(config(small_parts))
    with torch.no_grad():
        # Without this bias the random network finds nothing anywhere, and there would be nothing to refine.
        model.coarse.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.5]))
    sum(model.loss(*batch()).values()).backward()
    silent = [name for name, weight in model.coarse.named_parameters() if weight.grad is None]
    assert silent == []


def test_a_batch_is_the_mean_of_its_images(small_parts):
    model = with_brightness_coarse(MODELS.build(config(small_parts))).eval()
    images, samples = batch()
    whole = model.loss(images, samples)
    single = [model.loss(images[i : i + 1], samples[i : i + 1]) for i in range(2)]
    for name, value in whole.items():
        torch.testing.assert_close(value, (single[0][name] + single[1][name]) / 2, rtol=1e-4, atol=1e-5)


def test_an_invalid_slot_keeps_the_coarse_result(small_parts):
    model = with_brightness_coarse(MODELS.build(config(small_parts))).eval()
    dark = torch.zeros(3, 40, 40, dtype=torch.uint8)
    bright, sample = batch()
    stages = model.run([dark, bright[0]], None, (32, 32))
    assert stages.prompts.valid.tolist() == [[False], [True]]
    expected = torch.nn.functional.interpolate(stages.coarse.logits[:1], size=(32, 32), mode='bilinear')
    torch.testing.assert_close(stages.refined.logits[:1], expected)


def test_prediction_is_at_the_size_of_each_image(small_parts):
    model = with_brightness_coarse(MODELS.build(config(small_parts))).eval()
    images, samples = batch()
    with torch.no_grad():
        results = model.predict(images, samples)
    for image, result in zip(images, results):
        size = tuple(image.shape[-2:])
        assert tuple(result.seg_logits.data.shape) == (1, *size) == tuple(result.coarse_logits.data.shape)
        assert result.prompts.kinds == {'masks'} and len(result.quality) == 1
        truth = result.gt_sem_seg.data.bool()
        assert (result.coarse_sem_seg.data.bool() == truth).float().mean() > 0.95


def test_phase_1_has_no_refined_stage(small_parts):
    cfg = config(small_parts, losses=[dict(type='StageCrossEntropy', stage='coarse')])
    cfg.update(prompt_generator=None, refiner=None, refine_size=None)
    model = MODELS.build(cfg)
    losses = model.loss(*batch())
    assert list(losses) == ['loss_coarse_StageCrossEntropy']
    result = model.eval().predict(*batch())[0]
    assert torch.equal(result.pred_sem_seg.data, result.coarse_sem_seg.data) and 'prompts' not in result


def test_a_frozen_coarse_network_stays_as_it_is(small_parts):
    model = MODELS.build(config(small_parts, freeze_coarse=True)).train()
    before = copy.deepcopy(model.coarse.state_dict())
    assert not any(part.training for part in model.coarse.modules())
    sum(model.loss(*batch()).values()).backward()
    assert all(weight.grad is None for weight in model.coarse.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.coarse.state_dict().items())


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(prompt_generator=None), 'prompt_generator and refiner come together'),
        (dict(refine_size=None), 'refine_size is None'),
        (dict(refine_size=96), 'refine_size is 96'),
        (
            dict(refiner=dict(type='IdentityRefiner'), losses=[dict(type='PredictedIoUMSE', stage='refined')]),
            'IdentityRefiner predicts none',
        ),
        (dict(init_from=dict(coarses='x.pth')), r"init_from has \['coarses'\]"),
        (dict(losses=[dict(type='StageDice', stage='fine')]), "stage is 'fine'"),
        (dict(coarse_input=dict(size=(32, 32), grey=True, keep_ratio=True)), 'keep_ratio is True'),
    ],
)
def test_parts_that_do_not_fit_are_refused(small_parts, changes, message):
    cfg = config(small_parts)
    cfg.update(changes)
    with pytest.raises(ValueError, match=message):
        MODELS.build(cfg)


def test_a_loss_on_a_missing_stage_is_refused(small_parts):
    cfg = config(small_parts)
    cfg.update(prompt_generator=None, refiner=None)
    with pytest.raises(ValueError, match="reads the stage 'refined', but there is no refiner"):
        MODELS.build(cfg)


def test_a_prompt_that_the_refiner_does_not_accept_is_refused(small_parts, monkeypatch):
    monkeypatch.setattr(MODELS.get('SAMRefiner'), 'accepts', frozenset({'points'}))
    with pytest.raises(ValueError, match=r"MaskPrompt produces \['masks'\], which SAMRefiner does not accept"):
        MODELS.build(config(small_parts))


def test_an_auxiliary_head_is_refused(small_parts):
    cfg = config(small_parts)
    head = dict(type='FCNHead', in_channels=4, channels=4, num_classes=2, norm_cfg=dict(type='BN'))
    cfg['coarse'] = dict(
        type='EncoderDecoder',
        backbone=dict(type='UNet', base_channels=4, num_stages=2, strides=(1, 1), enc_num_convs=(1, 1),
                      dec_num_convs=(1,), downsamples=(True,), enc_dilations=(1, 1), dec_dilations=(1,)),
        decode_head=dict(in_index=1, **head),
        auxiliary_head=dict(in_index=1, **head),
    )  # fmt: skip
    with pytest.raises(ValueError, match='auxiliary_head=None'):
        MODELS.build(cfg)


def test_weights_of_earlier_phases_are_loaded_by_stage(small_parts, tmp_path):
    first, second = MODELS.build(config(small_parts)), MODELS.build(config(small_parts))
    torch.save({'state_dict': first.state_dict(), 'meta': {}}, tmp_path / 'coarse.pth')
    torch.save({'state_dict': second.state_dict(), 'meta': {}}, tmp_path / 'refiner.pth')
    init_from = dict(coarse=str(tmp_path / 'coarse.pth'), refiner=str(tmp_path / 'refiner.pth'))
    model = MODELS.build(config(small_parts, init_from=init_from))
    model.init_weights()
    for stage, source in (('coarse', first), ('refiner', second)):
        expected = getattr(source, stage).state_dict()
        assert all(torch.equal(expected[name], value) for name, value in getattr(model, stage).state_dict().items())


def test_a_missing_earlier_phase_says_so(small_parts):
    model = MODELS.build(config(small_parts, init_from=dict(coarse='none.pth')))
    with pytest.raises(FileNotFoundError, match='none.pth does not exist; it is what an earlier phase makes'):
        model.init_weights()


def test_labels_of_two_classes():
    logits = torch.tensor([[[2.0, -1.0, 1.0]], [[1.0, -3.0, 4.0]]])
    assert to_labels(logits).tolist() == [[[1, 0, 2]]]


def test_a_network_of_mmseg_takes_the_place_of_transunet(small_parts):
    cfg = config(small_parts, losses=[*REFINED, dict(type='StageCrossEntropy', stage='coarse')])
    cfg['coarse'] = dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='mmseg.UNet', in_channels=1, base_channels=4, num_stages=2, strides=(1, 1),
                      enc_num_convs=(1, 1), dec_num_convs=(1,), downsamples=(True,), enc_dilations=(1, 1),
                      dec_dilations=(1,)),
        decode_head=dict(type='mmseg.FCNHead', in_index=1, in_channels=4, channels=4, num_convs=1, num_classes=2,
                         norm_cfg=dict(type='BN')),
    )  # fmt: skip
    model = MODELS.build(cfg)
    assert model.num_slots == 1
    sum(model.loss(*batch()).values()).backward()
    assert all(weight.grad is not None for weight in model.coarse.parameters())
