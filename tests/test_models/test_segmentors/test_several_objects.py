"""Two classes with two lesions each, through every stage: a slot and prompts of its own for each, and labels again."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from ultrarefiner.datasets.class_palette import class_palette
from ultrarefiner.engine.hooks import StageVisualizationHook
from ultrarefiner.evaluation import RefinementMetric
from ultrarefiner.registry import MODELS

META = dict(classes=('background', 'dark', 'bright'), palette=class_palette(3))
# (class, centre x, centre y, radius) in pixels of a 64 x 64 image; the first image has no second dark lesion.
LESIONS = [
    [(1, 14, 14, 9), (2, 48, 14, 8), (2, 14, 48, 5)],
    [(1, 14, 14, 6), (1, 48, 48, 9), (2, 48, 14, 8), (2, 14, 48, 5)],
]
GREY = {0: 128, 1: 30, 2: 225}


class ThreeBands(torch.nn.Module):
    """Softmax logits (N, 3, H, W) of background, dark and bright; one weight."""

    out_channels = 3

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(30.0))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        centres = torch.tensor([GREY[0], GREY[1], GREY[2]]).view(1, 3, 1, 1) / 255
        return -self.gain * (inputs - centres).abs()


def batch():
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing='ij')
    images, samples = [], []
    for index, lesions in enumerate(LESIONS):
        labels = torch.zeros(64, 64, dtype=torch.long)
        for label, centre_x, centre_y, radius in lesions:
            labels[(x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2] = label
        grey = torch.tensor([GREY[label] for label in range(3)], dtype=torch.uint8)[labels]
        images.append(grey.expand(3, -1, -1).contiguous())
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels[None]))
        sample.set_metainfo(dict(ori_shape=(64, 64), img_path=f'i{index}.png', dataset='two'))
        samples.append(sample)
    return images, samples


def build(small_parts, **changes):
    init_default_scope('ultrarefiner')
    torch.manual_seed(0)
    cfg = dict(
        small_parts,
        coarse=dict(type='PrecomputedCoarse', num_slots=2),
        coarse_input=dict(size=(64, 64), grey=True),
        prompt_generator=dict(
            type='ComposePrompts',
            generators=[dict(type=name) for name in ('SoftArgmaxPoint', 'MomentBox', 'MaskPrompt')],
        ),
        object_splitter=dict(type='ConnectedComponents', max_objects=2),
        losses=[
            dict(type='StageCrossEntropy', stage='coarse'),
            dict(type='StageDice', stage='refined'),
            dict(type='StageBCE', stage='refined'),
            dict(type='PredictedIoUMSE', stage='refined'),
        ],
    )
    cfg.update(changes)
    model = MODELS.build(cfg)
    model.coarse = ThreeBands()
    return model


def test_every_lesion_has_prompts_of_its_own(small_parts):
    images, samples = batch()
    prompts = build(small_parts).run(images, samples, (32, 32)).prompts
    # Two slots a class and the rest; from the largest to the smallest.
    assert prompts.valid.tolist() == [[True, False, False, True, True, False], [True, True, False, True, True, False]]
    expected = [[(14, 14), (48, 14), (14, 48)], [(48, 48), (14, 14), (48, 14), (14, 48)]]
    for index, centres in enumerate(expected):
        points = prompts.points[index, prompts.valid[index], 0] * 64 - 0.5
        torch.testing.assert_close(points, torch.tensor(centres).float(), atol=1.0, rtol=0)
        boxes = prompts.boxes[index, prompts.valid[index]].unflatten(-1, (2, 2)).mean(dim=1) * 64 - 0.5
        torch.testing.assert_close(boxes, torch.tensor(centres).float(), atol=1.0, rtol=0)


def test_the_refined_loss_reaches_the_coarse_network_through_all_of_them(small_parts):
    model = build(small_parts)
    losses = model.loss(*batch())
    assert set(losses) == {
        'loss_coarse_StageCrossEntropy',
        'loss_refined_StageDice',
        'loss_refined_StageBCE',
        'loss_refined_PredictedIoUMSE',
    }
    assert all(loss.isfinite() for loss in losses.values())
    (losses['loss_refined_StageDice'] + losses['loss_refined_StageBCE']).backward()
    assert model.coarse.gain.grad.abs() > 1e-8


@pytest.fixture
def predicted(small_parts):
    """What the unchanged masks of an `IdentityRefiner` come to, after split and merge."""
    model = build(small_parts, refiner=dict(type='IdentityRefiner'), losses=[]).eval()
    images, samples = batch()
    with torch.no_grad():
        return images, model.predict(images, samples)


def test_labels_come_back_as_they_were(predicted):
    for sample in predicted[1]:
        assert torch.equal(sample.pred_sem_seg.data, sample.coarse_sem_seg.data)
        assert torch.equal(sample.pred_sem_seg.data, sample.gt_sem_seg.data)
        assert sample.seg_logits.data.shape == (2, 64, 64)


def test_the_metric_has_each_class_once(small_parts):
    model = build(small_parts).eval()
    images, samples = batch()
    with torch.no_grad():
        samples = model.predict(images, samples)
    metric = RefinementMetric()
    metric.dataset_meta = META
    for sample in samples:
        assert len(sample.quality) == 2
        metric.process({}, [sample.to_dict()])
    result = metric.evaluate(2)
    assert result['coarse/dark/Dice'] == result['coarse/bright/Dice'] == 1
    assert result['refined/Dice'] == pytest.approx((result['refined/dark/Dice'] + result['refined/bright/Dice']) / 2)
    assert result['refined/Dice'] < 1  # a SAM with random weights


def test_the_pictures_show_every_lesion(predicted):
    images, samples = predicted
    counts = []
    for image, sample in zip(images, samples):
        picture = StageVisualizationHook._draw(META, image.flip(0), sample).astype(int)
        counts.append(int((np.abs(picture - (255, 221, 51)).max(axis=-1) < 30).sum()))  # the frames of the boxes
    # The second image has one lesion more, and a frame around it.
    assert counts[1] > 1.15 * counts[0] > 0
