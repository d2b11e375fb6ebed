"""What is drawn lies where the arrays say, at every image size."""

import numpy as np
import pytest
import torch

from ultrarefiner.structures import Prompts
from ultrarefiner.visualization import draw_stage_panels
from ultrarefiner.visualization.stage_panels import (
    BOX,
    COARSE,
    GAP,
    HEADER_HEIGHT,
    PANEL_HEIGHT,
    POINTS,
    REFINED,
    TRUTH,
    draw_model_panels,
    stack_pictures,
)


def panel(picture, index, count):
    """The picture part of one panel, without header and footer."""
    width = (picture.shape[1] + GAP) // count - GAP
    left = index * (width + GAP)
    return picture[HEADER_HEIGHT : HEADER_HEIGHT + PANEL_HEIGHT, left : left + width].astype(int)


def near(picture, colour, tolerance=30):
    return np.abs(picture - np.array(colour)).max(axis=-1) <= tolerance


def bounds(mask):
    y, x = np.nonzero(mask)
    height, width = mask.shape
    return np.array([x.min() / width, y.min() / height, (x.max() + 1) / width, (y.max() + 1) / height])


def square(height, width):
    labels = np.zeros((height, width), np.int64)
    labels[height // 4 : height // 2, width // 4 : 3 * width // 4] = 1
    return labels


@pytest.mark.parametrize('height, width', [(40, 48), (200, 100), (800, 1000)])
def test_contours_lie_on_the_masks_at_every_size(height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    picture = draw_stage_panels(image, square(height, width), square(height, width))
    expected = np.array([0.25, 0.25, 0.75, 0.5])
    assert np.abs(bounds(near(panel(picture, 1, 3), TRUTH)) - expected).max() < 0.02
    assert np.abs(bounds(near(panel(picture, 2, 3), COARSE)) - expected).max() < 0.02


def test_prompts_lie_where_their_normalised_coordinates_say():
    prompts = Prompts(
        points=torch.tensor([[[[0.25, 0.75], [0.75, 0.25], [0.5, 0.9]]]]),
        point_labels=torch.tensor([[[1, 0, -1]]]),
        boxes=torch.tensor([[[0.1, 0.2, 0.9, 0.8]]]),
    )
    drawn = panel(draw_stage_panels(np.zeros((50, 100, 3), np.uint8), prompts=prompts), 1, 2)
    height, width = drawn.shape[:2]
    assert np.abs(bounds(near(drawn, BOX)) - [0.1, 0.2, 0.9, 0.8]).max() < 0.01
    for label, (x, y) in ((1, (0.25, 0.75)), (0, (0.75, 0.25))):
        left, top, right, bottom = bounds(near(drawn, POINTS[label], tolerance=5))
        assert abs((left + right) / 2 - x) < 0.005 and abs((top + bottom) / 2 - y) < 0.01
    padding = drawn[int(0.86 * height) : int(0.94 * height), int(0.48 * width) : int(0.52 * width)]
    assert padding.max() == 0  # a padding point is not drawn


def test_the_mask_prompt_is_heat_where_it_is_probable():
    masks = torch.full((1, 1, 16, 16), -10.0)
    masks[..., :8] = 10.0
    drawn = panel(draw_stage_panels(np.zeros((40, 40, 3), np.uint8), prompts=Prompts(masks=masks)), 1, 2)
    assert drawn[:, :170].min(axis=(0, 1)).max() > 100 and drawn[:, 214:].max() <= 2


def test_scores_change_only_the_bars():
    image, labels = np.full((60, 80, 3), 90, np.uint8), square(60, 80)
    plain = draw_stage_panels(image, labels, labels, None, labels)
    scored = draw_stage_panels(image, labels, labels, None, labels, scores=dict(coarse=0.7, refined=0.9))
    rows = np.nonzero((plain != scored).any(axis=(1, 2)))[0]
    assert rows.min() < HEADER_HEIGHT and rows.max() >= HEADER_HEIGHT + PANEL_HEIGHT
    np.testing.assert_array_equal(panel(plain, 2, 4), panel(scored, 2, 4))


def test_several_classes_keep_their_colours():
    labels = np.zeros((60, 80), np.int64)
    labels[10:30, 10:30], labels[40:55, 50:70] = 1, 2
    red, blue = (250, 20, 20), (20, 20, 250)
    drawn = panel(draw_stage_panels(np.zeros((60, 80, 3), np.uint8), labels, class_colours=[red, blue]), 1, 2)
    np.testing.assert_allclose(bounds(near(drawn, red)), [10 / 80, 10 / 60, 30 / 80, 30 / 60], atol=0.01)
    np.testing.assert_allclose(bounds(near(drawn, blue)), [50 / 80, 40 / 60, 70 / 80, 55 / 60], atol=0.01)


def test_pixels_that_do_not_count_are_not_drawn():
    labels = np.full((40, 40), 255)
    image = np.zeros((40, 40, 3), np.uint8)
    assert panel(draw_stage_panels(image, labels), 1, 2).max() == 0


def test_the_truth_shows_where_a_mask_is_wrong_only():
    image, truth = np.full((60, 80, 3), 90, np.uint8), square(60, 80)
    wrong = np.roll(truth, 20, axis=1)
    right, shifted = (panel(draw_stage_panels(image, truth, mask), 2, 3) for mask in (truth, wrong))
    assert near(right, TRUTH).sum() == 0 and near(shifted, TRUTH).sum() > 500


def test_the_prompts_of_every_valid_slot_are_drawn_and_no_others():
    boxes = torch.tensor([[[0.1, 0.1, 0.3, 0.3], [0.4, 0.4, 0.6, 0.6], [0.0, 0.0, 1.0, 1.0]]])
    points = boxes.unflatten(-1, (2, 2)).mean(dim=2)[:, :, None]
    prompts = Prompts(
        points=points,
        point_labels=torch.tensor([[[1], [1], [0]]]),
        boxes=boxes,
        masks=torch.full((1, 3, 8, 8), 10.0),
        valid=torch.tensor([[True, True, False]]),
    )
    image = np.zeros((50, 100, 3), np.uint8)
    drawn = panel(draw_stage_panels(image, prompts=prompts), 1, 2)
    np.testing.assert_allclose(bounds(near(drawn, BOX)), [0.1, 0.1, 0.6, 0.6], atol=0.01)
    assert near(drawn, POINTS[1], tolerance=5).any() and not near(drawn, POINTS[0], tolerance=5).any()
    nothing = Prompts(boxes=boxes, masks=prompts.masks, valid=torch.zeros(1, 3, dtype=torch.bool))
    assert panel(draw_stage_panels(image, prompts=nothing), 1, 2).max() == 0


def test_masks_of_several_models_stand_beside_image_and_truth():
    image, empty = np.full((60, 80, 3), 90, np.uint8), np.zeros((60, 80), np.int64)
    masks = dict(one=(square(60, 80), COARSE, 1.0), other=(empty, REFINED, 0.0))
    picture = draw_model_panels(image, square(60, 80), masks, 'name')
    expected = np.array([0.25, 0.25, 0.75, 0.5])
    assert np.abs(bounds(near(panel(picture, 1, 4), TRUTH)) - expected).max() < 0.02
    assert np.abs(bounds(near(panel(picture, 2, 4), COARSE)) - expected).max() < 0.02
    assert not near(panel(picture, 3, 4), REFINED).any() and near(panel(picture, 3, 4), TRUTH).any()


def test_pictures_are_stacked_from_the_left():
    one, other = np.full((2, 3, 3), 200, np.uint8), np.full((4, 5, 3), 100, np.uint8)
    stacked = stack_pictures([one, other])
    assert stacked.shape == (6, 5, 3)
    assert (stacked[:2, :3] == 200).all() and (stacked[2:] == 100).all() and (stacked[:2, 3:] < 100).all()
