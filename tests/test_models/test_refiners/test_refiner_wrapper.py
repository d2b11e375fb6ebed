"""Wrappers: weights of earlier phases go into them, and their parts stay in order."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from spy_refiner import disc_logits

from ultrarefiner.registry import MODELS

BOX = dict(type='ThresholdBox')
WRAPPERS = {
    'ROIRefiner': dict(type='ROIRefiner', min_size=16),
    'IterativeRefiner': dict(type='IterativeRefiner', num_iterations=2, box=BOX),
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('ultrarefiner')


def build(small_parts, refiner=None, **changes):
    """A CoarseToFine of the small parts, with the refiner given or, without one, the plain SAM."""
    cfg = copy.deepcopy(small_parts)
    cfg.update(
        prompt_generator=dict(type='MomentBox'),
        losses=[dict(type='StageDice', stage='refined'), dict(type='PredictedIoUMSE', stage='refined')],
        **changes,
    )
    cfg['refiner'] = refiner or cfg['refiner']
    return MODELS.build(cfg)


def save(model, path):
    meta = dict(ultrarefiner=dict(input_profiles=model.input_profiles()))
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, path)
    return str(path)


@pytest.mark.parametrize('name', WRAPPERS)
def test_a_wrapper_takes_the_checkpoint_of_its_own_phase_2(small_parts, tmp_path, name):
    wrapper = dict(WRAPPERS[name], refiner=small_parts['refiner'])
    phase2 = build(small_parts, wrapper)
    path = save(phase2, tmp_path / 'best.pth')
    phase3 = build(small_parts, wrapper, init_from=dict(refiner=path))
    phase3.init_weights()
    expected, found = phase2.refiner.state_dict(), phase3.refiner.state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize('name', WRAPPERS)
def test_a_held_sam_takes_the_checkpoint_of_a_plain_one(small_parts, tmp_path, name):
    plain = build(small_parts)
    path = save(plain, tmp_path / 'best.pth')
    wrapped = build(small_parts, dict(WRAPPERS[name], refiner=dict(small_parts['refiner'], checkpoint=path)))
    wrapped.init_weights()
    expected, found = plain.refiner.state_dict(), wrapped.refiner.refiner.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_init_from_a_plain_checkpoint_says_that_it_does_not_fit(small_parts, tmp_path):
    path = save(build(small_parts), tmp_path / 'best.pth')
    wrapper = dict(WRAPPERS['ROIRefiner'], refiner=small_parts['refiner'])
    with pytest.raises(ValueError, match='do not fit ROIRefiner'):
        build(small_parts, wrapper, init_from=dict(refiner=path)).init_weights()


@pytest.mark.parametrize('name', WRAPPERS)
def test_the_losses_of_phase_2_reach_every_weight_that_trains(small_parts, name):
    torch.manual_seed(0)
    wrapper = dict(WRAPPERS[name], refiner=small_parts['refiner'])
    model = build(small_parts, wrapper, coarse=dict(type='PrecomputedCoarse')).train()
    assert model.input_profiles()['refiner']['size'] == [64, 64]
    images, samples = [], []
    for size in ((48, 40), (33, 64)):
        disc = disc_logits(size, (20, 16), 8)[0]
        images.append(torch.randint(0, 256, (3, *size), dtype=torch.uint8))
        samples.append(
            SegDataSample(
                gt_sem_seg=PixelData(data=(disc > 0).long()), coarse_probability=PixelData(data=disc.sigmoid())
            )
        )
    losses = model.loss(images, samples)
    assert set(losses) == {'loss_refined_StageDice', 'loss_refined_PredictedIoUMSE'}
    sum(losses.values()).backward()
    assert [key for key, weight in model.named_parameters() if weight.requires_grad and weight.grad is None] == []
    with torch.no_grad():
        results = model.eval().predict(images, samples)
    assert [tuple(result.seg_logits.data.shape) for result in results] == [(1, 48, 40), (1, 33, 64)]
