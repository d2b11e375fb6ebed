"""Candidate selection: which mask, which score, and where gradient goes."""

import copy

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from sam_makers import coarse, original_sam, random_image, random_prompts, tiny_refiner
from segment_anything import SamPredictor

from ultrarefiner.interfaces import BaseRefiner
from ultrarefiner.models.refiners import ArgmaxSelection, OracleSelection, SingleMaskSelection, SoftmaxSelection
from ultrarefiner.registry import MODELS
from ultrarefiner.structures import ImageEmbedding, SegOutput, StageTarget

QUALITY = torch.tensor([[0.2, 0.9, 0.4], [1.3, 0.1, 1.2]])


def candidates():
    return torch.arange(6.0).view(2, 3, 1, 1).expand(2, 3, 4, 5).clone()


def test_argmax_picks_the_best_candidate_of_each_slot():
    mask, quality = ArgmaxSelection()(candidates(), QUALITY)
    assert mask.shape == (2, 4, 5)
    assert mask[:, 0, 0].tolist() == [1.0, 3.0]
    assert quality.tolist() == pytest.approx([0.9, 1.3])


def test_argmax_gives_gradient_to_the_chosen_candidate_alone():
    logits = candidates().requires_grad_()
    ArgmaxSelection()(logits, QUALITY)[0].sum().backward()
    assert logits.grad[:, :, 0, 0].tolist() == [[0, 1, 0], [1, 0, 0]]


def test_softmax_weights_by_hand():
    # Scores ln 2 * temperature apart: weights 1/7, 2/7, 4/7.
    step = 0.1 * torch.log(torch.tensor(2.0))
    scores = (0.5 + step * torch.arange(3.0))[None]
    mask, quality = SoftmaxSelection(temperature=0.1)(torch.tensor([7.0, 14.0, 21.0]).view(1, 3, 1, 1), scores)
    assert mask.item() == pytest.approx((1 * 7 + 2 * 14 + 4 * 21) / 7)
    assert quality.item() == pytest.approx(0.5 + step.item() * (0 * 1 + 1 * 2 + 2 * 4) / 7)


def test_softmax_gives_gradient_to_the_scores_and_nears_argmax_when_cold():
    scores = QUALITY.clone().requires_grad_()
    SoftmaxSelection()(candidates(), scores)[0].sum().backward()
    assert (scores.grad != 0).all()
    cold = SoftmaxSelection(temperature=1e-3)(candidates(), QUALITY)
    torch.testing.assert_close(cold, ArgmaxSelection()(candidates(), QUALITY))


@pytest.mark.parametrize('temperature', [0, -0.1])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=f'temperature is {temperature}'):
        SoftmaxSelection(temperature)


@pytest.mark.parametrize('kinds', [('points',), ('points', 'boxes')], ids='-'.join)
def test_the_single_mask_is_that_of_sam_predictor(kinds):
    refiner = tiny_refiner(selection=dict(type='SingleMaskSelection'))
    image, prompts = random_image(64, 64), random_prompts(1, kinds=kinds)
    with torch.no_grad():
        ours = refiner([image], coarse(1), prompts, (64, 64))
    predictor = SamPredictor(original_sam(refiner))
    predictor.set_image(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    masks, quality, low_res = (
        torch.from_numpy(part)
        for part in predictor.predict(
            prompts.points[0, 0].numpy() * 64 - 0.5,
            prompts.point_labels[0, 0].numpy(),
            None if prompts.boxes is None else prompts.boxes[0, 0].numpy() * 64 - 0.5,
            multimask_output=False,
            return_logits=True,
        )
    )
    assert masks.std() > 0.1
    torch.testing.assert_close(ours.logits[0], masks, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.candidates[0, 0], low_res, atol=1e-4, rtol=0)
    for found in (ours.quality[0], ours.candidate_quality[0, 0]):
        torch.testing.assert_close(found, quality, atol=1e-4, rtol=0)


def test_the_single_mask_refuses_to_choose():
    with pytest.raises(ValueError, match='gives 3 candidates, expected the single mask'):
        SingleMaskSelection()(candidates(), QUALITY)


def halves(size=(4, 8)):
    """Candidates (1, 1, 3, H, W): the left half, the right half, everything."""
    masks = torch.full((3, *size), -2.0)
    masks[0, :, : size[1] // 2] = masks[1, :, size[1] // 2 :] = masks[2] = 2.0
    return masks[None, None]


def truth_of(*columns, size=(4, 8)):
    """Label maps (H, W), each 1 in the given range of columns."""
    labels = [torch.zeros(size, dtype=torch.long) for _ in columns]
    for label, (first, last) in zip(labels, columns):
        label[:, first:last] = 1
    return labels


def test_the_oracle_goes_by_the_actual_iou():
    oracle = OracleSelection(allow_in_testing=True).eval()
    oracle.truth = StageTarget(truth_of((0, 5), (3, 8), (1, 8)), 1)
    masks, wrong = halves().expand(3, -1, -1, -1, -1), torch.tensor([[[0.9, 0.8, 0.7]]]).expand(3, -1, -1)
    judged = oracle.judge(masks, wrong)
    torch.testing.assert_close(
        judged[:, 0], torch.tensor([[4 / 5, 1 / 8, 5 / 8], [1 / 8, 4 / 5, 5 / 8], [3 / 8, 4 / 7, 7 / 8]])
    )
    chosen, quality = oracle(masks[:, 0], judged[:, 0])
    assert torch.equal(chosen, masks[0, 0])
    assert quality.tolist() == pytest.approx([4 / 5, 4 / 5, 7 / 8])


def test_the_oracle_refuses_to_run_in_testing_unless_asked():
    oracle = OracleSelection()
    oracle.truth = StageTarget(truth_of((0, 4)), 1)
    assert oracle.train().judge(halves(), torch.zeros(1, 1, 3)).tolist() == [[[1, 0, 0.5]]]
    with pytest.raises(RuntimeError, match='allow_in_testing=True'):
        oracle.eval().judge(halves(), torch.zeros(1, 1, 3))


@pytest.mark.parametrize('truth, words', [(None, 'knows no ground truth'), (truth_of((0, 4), (4, 8)), 'of 2 images')])
def test_the_oracle_refuses_a_truth_that_does_not_fit(truth, words):
    oracle = OracleSelection(allow_in_testing=True)
    oracle.truth = None if truth is None else StageTarget(truth, 1)
    with pytest.raises(RuntimeError, match=words):
        oracle.judge(halves(), torch.zeros(1, 1, 3))


class HalvesRefiner(BaseRefiner):
    """Gives the candidates of `halves` for every slot, and likes the whole image best."""

    accepts = frozenset({'boxes'})

    def __init__(self, selection):
        super().__init__()
        self.selection = selection

    def encode_image(self, images):
        return ImageEmbedding(torch.zeros(len(images), 0, 1, 1), torch.tensor([image.shape[-2:] for image in images]))

    def decode(self, embedding, coarse, prompts, size):
        masks, quality = halves(size).expand(len(embedding.content), -1, -1, -1, -1), torch.tensor([[[0.1, 0.2, 0.9]]])
        quality = quality.expand(len(masks), -1, -1)
        mask, chosen = self.selection(masks.flatten(0, 1), self.selection.judge(masks, quality).flatten(0, 1))
        return SegOutput(mask[:, None], chosen[:, None], masks, quality)


@pytest.mark.parametrize(
    'selection, expected, qualities',
    [
        (ArgmaxSelection(), [(0, 8), (0, 8)], [0.9, 0.9]),
        (OracleSelection(allow_in_testing=True), [(0, 4), (4, 8)], [4 / 5, 3 / 4]),
    ],
    ids=['argmax', 'oracle'],
)
def test_the_oracle_gets_the_truth_of_each_image_in_prediction(small_parts, selection, expected, qualities):
    init_default_scope('ultrarefiner')
    parts = copy.deepcopy(small_parts)
    parts.update(
        coarse=dict(type='PrecomputedCoarse'),
        prompt_generator=dict(type='ThresholdBox'),
        refiner=HalvesRefiner(selection),
        losses=[dict(type='StageDice', stage='refined')],
    )
    model = MODELS.build(parts).eval()
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=label[None]), coarse_probability=PixelData(data=torch.full((1, 4, 8), 0.7))
        )
        for label in truth_of((0, 5), (4, 7))
    ]
    with torch.no_grad():
        results = model.predict([random_image(4, 8), random_image(4, 8)], samples)
    for result, mask, quality in zip(results, truth_of(*expected), qualities):
        assert torch.equal(result.pred_sem_seg.data[0], mask)
        assert result.quality == pytest.approx([quality])
