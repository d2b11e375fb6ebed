"""Masks and prompts as files: written and read back."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ultrarefiner.structures import Prompts
from ultrarefiner.utils.stage_files import prompts_from_dict, prompts_to_dict, write_mask, write_prompts


def test_prompts_come_back_without_the_mask(tmp_path):
    prompts = Prompts(
        points=torch.tensor([[[[0.25, 0.5], [0.0, 0.0]], [[0.1, 0.2], [0.9, 0.8]]]]),
        point_labels=torch.tensor([[[1, -1], [1, 0]]]),
        boxes=torch.tensor([[[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 1.0]]]),
        masks=torch.zeros(1, 2, 4, 4),
        valid=torch.tensor([[True, False]]),
    )
    write_prompts(tmp_path / 'new' / 'a.json', prompts)
    read = prompts_from_dict(json.loads((tmp_path / 'new' / 'a.json').read_text()))
    assert read.masks is None
    for name in ('points', 'point_labels', 'boxes', 'valid'):
        torch.testing.assert_close(getattr(read, name), getattr(prompts, name))


def test_a_mask_prompt_alone_leaves_empty_slots():
    assert prompts_to_dict(Prompts(masks=torch.zeros(1, 2, 4, 4)))['slots'] == [dict(valid=True)] * 2


def test_a_slot_without_points_comes_back_as_padding():
    entry = dict(frame='normalised', slots=[dict(valid=True, points=[], point_labels=[])])
    assert prompts_from_dict(entry).points.shape == (1, 1, 0, 2)


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (dict(frame='pixels', slots=[]), "in the frame 'pixels', expected 'normalised'"),
        (dict(frame='normalised', slots=[dict(valid=True, box=[0, 0, 1, 1]), dict(valid=True)]), 'different prompts'),
    ],
)
def test_other_frames_and_unlike_slots_are_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        prompts_from_dict(entry)


@pytest.mark.parametrize(('slots', 'factor'), [(1, 255), (2, 1)])
def test_one_class_is_written_as_255_and_more_as_labels(tmp_path, slots, factor):
    labels = np.array([[0, 1], [slots, 0]])
    write_mask(tmp_path / 'deep' / 'a.png', labels, slots)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'deep' / 'a.png')), labels * factor)
