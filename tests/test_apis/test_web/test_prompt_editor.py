"""PromptEditor: each change is what it says, touches nothing else, and is undone exactly."""

import pytest
import torch

from ultrarefiner.apis.web.prompt_editor import PromptEditor
from ultrarefiner.structures import Prompts

ALL = ('points', 'boxes', 'masks')


@pytest.fixture
def prompts():
    """Two slots, the second with nothing to refine; the second point of the first is padding."""
    return Prompts(
        points=torch.tensor([[[[0.25, 0.5], [0.1, 0.1]], [[0.5, 0.5], [0.6, 0.6]]]]),
        point_labels=torch.tensor([[[1, -1], [1, 0]]]),
        boxes=torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 1.0]]]),
        masks=torch.zeros(1, 2, 4, 4),
        valid=torch.tensor([[True, False]]),
    )


def test_a_moved_box_wakes_its_slot_and_leaves_the_rest(prompts):
    editor = PromptEditor(prompts, ALL)
    editor.move_box(1, (0.5, 0.5, 0.75, 1.0))
    moved = editor.prompts
    assert moved.boxes[0, 1].tolist() == [0.5, 0.5, 0.75, 1.0] and moved.valid.tolist() == [[True, True]]
    assert torch.equal(moved.boxes[0, 0], prompts.boxes[0, 0]) and moved.points is prompts.points
    assert prompts.boxes[0, 1].tolist() == [0, 0, 1, 1] and prompts.valid.tolist() == [[True, False]]


def test_a_new_point_takes_the_place_of_padding(prompts):
    editor = PromptEditor(prompts, ALL)
    editor.add_point(0, (0.5, 0.25), positive=False)
    assert editor.prompts.point_labels.tolist() == [[[1, 0], [1, 0]]]
    assert editor.prompts.points[0, 0, 1].tolist() == [0.5, 0.25]
    editor.add_point(0, (0.75, 0.25), positive=True)
    assert editor.prompts.point_labels.tolist() == [[[1, 0, 1], [1, 0, -1]]]


def test_a_removed_point_leaves_no_column_of_padding(prompts):
    editor = PromptEditor(prompts, ALL)
    editor.move_point(0, 0, (0.5, 0.0))
    assert editor.prompts.points[0, 0, 0].tolist() == [0.5, 0.0]
    editor.remove_point(1, 1)
    assert editor.prompts.point_labels.tolist() == [[[1], [1]]]
    editor.remove_point(1, 0)
    assert editor.prompts.point_labels.tolist() == [[[1], [-1]]]
    editor.remove_point(0, 0)
    assert editor.prompts.points is None and editor.kinds == {'boxes', 'masks'}


def test_kinds_are_switched_off_and_on_again_with_what_they_had(prompts):
    editor = PromptEditor(prompts, ALL)
    editor.keep({'boxes'})
    assert editor.prompts.kinds == {'boxes'} and editor.all_prompts is prompts
    editor.add_point(0, (0.5, 0.5), True)
    assert editor.kinds == {'boxes', 'points'}
    editor.keep(ALL)
    assert editor.prompts.masks is prompts.masks


def test_steps_are_undone_one_by_one_and_a_reset_too(prompts):
    editor = PromptEditor(prompts, ALL)
    editor.move_box(0, (0.0, 0.0, 0.5, 0.5))
    editor.keep({'masks'})
    editor.reset()
    assert editor.all_prompts is prompts and editor.kinds == set(ALL) and editor.is_changed
    editor.undo()
    assert editor.kinds == {'masks'} and editor.all_prompts.boxes[0, 0].tolist() == [0, 0, 0.5, 0.5]
    for _ in range(3):
        editor.undo()
    assert editor.all_prompts is prompts and not editor.is_changed


def test_what_the_generator_does_not_make_can_be_added():
    editor = PromptEditor(Prompts(masks=torch.zeros(1, 2, 4, 4)), ALL)
    editor.move_box(1, (0.25, 0.25, 0.5, 0.5))
    editor.add_point(0, (0.5, 0.5), True)
    assert editor.prompts.boxes.tolist() == [[[0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5]]]
    assert editor.prompts.point_labels.tolist() == [[[1], [-1]]]


def test_what_cannot_be_is_said(prompts):
    editor = PromptEditor(prompts, ('boxes', 'masks'))
    assert editor.kinds == {'boxes', 'masks'}
    with pytest.raises(ValueError, match='takes no points; it takes boxes, masks'):
        editor.add_point(0, (0.5, 0.5), True)
    with pytest.raises(ValueError, match='expected finite x0, y0, x1, y1 with x0 < x1'):
        editor.move_box(0, (0.5, 0.0, 0.5, 1.0))
    with pytest.raises(IndexError, match='there is no slot 2; there are 2'):
        editor.move_box(2, (0.0, 0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match='no kind of prompt is left'):
        editor.keep(())
    with pytest.raises(ValueError, match='there are no masks yet'):
        PromptEditor(prompts.keep({'boxes'}), ALL).keep({'boxes', 'masks'})
    with pytest.raises(IndexError, match='slot 0 has no point 1; it has 1'):
        PromptEditor(prompts, ALL).remove_point(0, 1)
    with pytest.raises(ValueError, match='the only prompt'):
        only = PromptEditor(prompts[0:1].keep({'points'}), ALL)
        for slot, index in ((1, 1), (1, 0), (0, 0)):
            only.remove_point(slot, index)
    assert not editor.is_changed
