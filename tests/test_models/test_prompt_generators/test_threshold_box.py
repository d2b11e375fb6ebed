import torch
from prompt_shapes import logits_of, prompts_of, rectangle


def test_box_lies_at_the_outer_edges_of_the_extreme_pixels():
    boxes = prompts_of(dict(type='ThresholdBox'), logits_of(rectangle((40, 64), 8, 4, 24, 12))).boxes
    torch.testing.assert_close(boxes[0, 0], torch.tensor([8 / 64, 4 / 40, 24 / 64, 12 / 40]))


def test_box_spans_everything_above_the_threshold():
    mask = rectangle((32, 32), 3, 5, 4, 6) + 0.6 * rectangle((32, 32), 20, 25, 22, 32)
    for threshold, expected in ((0.5, [3, 5, 22, 32]), (0.7, [3, 5, 4, 6])):
        boxes = prompts_of(dict(type='ThresholdBox', threshold=threshold), logits_of(mask)).boxes
        assert (boxes[0, 0] * 32).tolist() == expected


def test_no_gradient_flows():
    prompts = prompts_of(dict(type='ThresholdBox'), logits_of(torch.ones(8, 8)).requires_grad_())
    assert not prompts.boxes.requires_grad


def test_empty_slot_gets_the_whole_image():
    prompts = prompts_of(dict(type='ThresholdBox'), torch.full((1, 1, 8, 8), -1e4))
    assert prompts.boxes.tolist() == [[[0, 0, 1, 1]]]
    assert prompts.valid.tolist() == [[False]]
