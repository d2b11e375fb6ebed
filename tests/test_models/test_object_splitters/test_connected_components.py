import pytest
import torch
from mmengine.registry import init_default_scope

from ultrarefiner.interfaces import BaseRefiner
from ultrarefiner.models.segmentors.coarse_to_fine import keep_coarse_where_invalid, resize_logits
from ultrarefiner.registry import MODELS, OBJECT_SPLITTERS, PROMPT_GENERATORS
from ultrarefiner.structures import ImageEmbedding, SegOutput


def build(**arguments):
    return OBJECT_SPLITTERS.build(dict(type='ConnectedComponents', **arguments))


def squares(*corners, size=(32, 32), inside=4.0, outside=-5.0):
    """Logits (1, 1, H, W) of squares (x, y, side)."""
    logits = torch.full(size, outside)
    for x, y, side in corners:
        logits[y : y + side, x : x + side] = inside
    return logits[None, None]


LARGE, MIDDLE, SMALL, SPECK = (2, 2, 10), (20, 4, 6), (6, 22, 4), (26, 26, 1)
FOUR = squares(LARGE, MIDDLE, SMALL, SPECK)


def found(slot):
    """The (x, y, side) of the only square in a slot (H, W), or None."""
    rows, columns = torch.nonzero(slot > 0, as_tuple=True)
    if len(rows) == 0:
        return None
    side = int(columns.max() - columns.min()) + 1
    assert len(rows) == side**2
    return int(columns.min()), int(rows.min()), side


def test_objects_come_from_the_largest_to_the_smallest_and_the_rest_is_hidden():
    slots = build(max_objects=2).split(SegOutput(FOUR)).logits
    assert slots.shape == (1, 3, 32, 32)
    assert [found(slot) for slot in slots[0]] == [LARGE, MIDDLE, None]
    assert float(slots[0, 2].max()) == 4 - 128


def test_what_is_too_small_gets_no_slot():
    slots = build(max_objects=4, min_area=16 / 32**2).split(SegOutput(FOUR)).logits
    assert [found(slot) for slot in slots[0]] == [LARGE, MIDDLE, SMALL, None, None]
    slots = build(max_objects=4, min_area=17 / 32**2).split(SegOutput(FOUR)).logits
    assert [found(slot) for slot in slots[0]] == [LARGE, MIDDLE, None, None, None]


def test_cells_meet_half_way_and_have_the_coarse_logits():
    """Squares with a gap of 8 columns, 12 to 19, with nothing else around: 4 columns go to each."""
    logits = squares((2, 10, 10), (20, 11, 8)) + 0.5 * torch.randn(1, 1, 32, 32).clamp(-1, 1)
    one, two, rest = build(max_objects=2).split(SegOutput(logits)).logits[0]
    row = logits[0, 0, 15]
    assert torch.equal(one[15], torch.where(torch.arange(32) < 16, row, -20.0))
    assert torch.equal(two[15], torch.where(torch.arange(32) >= 16, row, -20.0))
    assert float(rest.max()) <= -20 - 128


def test_a_component_that_is_not_kept_keeps_its_cell_out_of_the_others():
    """The speck's surroundings, with a probability of 0.4, are no background of the large square."""
    logits = squares(LARGE, SPECK)
    logits[0, 0, 24:29, 24:29] = logits[0, 0, 24:29, 24:29].maximum(torch.tensor(-0.4))
    large, rest = build(max_objects=1).split(SegOutput(logits)).logits[0]
    assert float(large[24:29, 24:29].max()) == -20
    torch.testing.assert_close(rest[24:29, 24:29] + 128, logits[0, 0, 24:29, 24:29], atol=1e-5, rtol=0)


def test_pixels_that_touch_at_a_corner_are_one_component():
    slots = build(max_objects=2, min_area=0).split(SegOutput(squares((4, 4, 4), (8, 8, 4)))).logits[0]
    assert [int((slot > 0).sum()) for slot in slots] == [32, 0, 0]


@pytest.mark.parametrize('low', [-5.0, -300.0])
def test_the_round_trip_is_exact_in_the_cells_of_objects(low):
    draw = torch.Generator().manual_seed(0)
    logits = squares(LARGE, MIDDLE, outside=low) + torch.randn(1, 1, 32, 32, generator=draw).clamp(-1, 1)
    splitter = build(max_objects=2)
    assert torch.equal(splitter.merge(splitter.split(SegOutput(logits)), 1).logits, logits)


def test_the_round_trip_of_many_small_objects():
    logits = 3 * torch.randn(2, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    splitter = build()
    torch.testing.assert_close(splitter.merge(splitter.split(SegOutput(logits)), 3).logits, logits, atol=1e-5, rtol=0)


def test_a_logit_of_the_rest_is_clamped_as_documented():
    logits = squares(LARGE, inside=500.0)
    splitter = build(min_area=0.5)
    merged = splitter.merge(splitter.split(SegOutput(logits)), 1).logits
    torch.testing.assert_close(merged, logits.clamp(max=64), atol=1e-4, rtol=0)


def test_what_was_not_refined_survives_at_another_size():
    """As in CoarseToFine: the refiner's result in the valid slots, the coarse one, resized, in the others."""
    splitter, prompts = build(max_objects=1), PROMPT_GENERATORS.build(dict(type='MomentBox'))
    objects = splitter.split(SegOutput(FOUR))
    valid = prompts(objects, []).valid
    assert valid.tolist() == [[True, False]]
    refined = SegOutput(torch.full((1, 2, 64, 64), -9.0))
    merged = splitter.merge(keep_coarse_where_invalid(refined, objects, valid), 1).logits
    expected = resize_logits(squares(MIDDLE, SMALL, SPECK), (64, 64)) > 0
    assert torch.equal(merged > 0, expected)


def test_merge_is_the_union_of_the_refined_objects():
    slots = build(max_objects=2).split(SegOutput(squares(LARGE, MIDDLE))).logits.clone()
    slots[0, 0] = -30.0
    slots[0, 0, 16:, 16:] = 2.0
    merged = build(max_objects=2).merge(SegOutput(slots), 1).logits
    expected = squares(MIDDLE) > 0
    expected[..., 16:, 16:] = True
    assert torch.equal(merged > 0, expected)


def test_quality_and_candidates_of_slots_that_hold_no_object_do_not_count():
    """Two classes: one with two objects of three slots, one with none; three candidates each."""
    logits = torch.cat([squares(LARGE, MIDDLE), squares()], dim=1)
    splitter = build(max_objects=3)
    slots = splitter.split(SegOutput(logits)).logits
    quality = torch.tensor([[0.8, 0.6, 0.1, 0.2, 0.3, 0.5, 0.4, 0.9]])
    candidates = torch.full((1, 8, 3, 16, 16), 50.0)
    candidates[0, 0] = -7.0
    candidates[0, 1] = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    merged = splitter.merge(SegOutput(slots, quality, candidates, quality[..., None].expand(-1, -1, 3)), 2)
    torch.testing.assert_close(merged.quality, torch.tensor([[0.7, 0.4]]))
    torch.testing.assert_close(merged.candidate_quality, merged.quality[..., None].expand(-1, -1, 3))
    assert merged.candidates[0, 0].amax(dim=(-2, -1)).tolist() == [1, 2, 3] == merged.candidates[0, 0, :, 0, 0].tolist()
    torch.testing.assert_close(merged.candidates[0, 1], torch.full((3, 16, 16), -5.0), atol=1e-5, rtol=0)


def test_gradient_is_one_in_every_cell():
    logits = FOUR.clone().requires_grad_()
    splitter = build(max_objects=2)
    splitter.merge(splitter.split(SegOutput(logits)), 1).logits.sum().backward()
    assert torch.equal(logits.grad, torch.ones_like(logits))


class FillsItsBox(BaseRefiner):
    """Fills the box of each slot."""

    accepts = frozenset({'boxes'})

    def encode_image(self, images):
        return ImageEmbedding(torch.zeros(len(images), 1, 1, 1), torch.ones(len(images), 2, dtype=torch.long))

    def decode(self, embedding, coarse, prompts, size):
        steps = [(torch.arange(length) + 0.5) / length for length in size]
        x0, y0, x1, y1 = prompts.boxes[..., None].unbind(dim=2)
        in_x = (steps[1] > x0) & (steps[1] < x1)
        in_y = (steps[0] > y0) & (steps[0] < y1)
        inside = in_y[..., :, None] & in_x[..., None, :]
        return SegOutput(torch.where(inside, 3.0, -3.0), quality=prompts.boxes[..., 0])


@pytest.mark.parametrize('splitter, boxes', [(None, 1), (dict(type='ConnectedComponents', min_area=0.01), 2)])
def test_each_lesion_gets_its_own_box_in_the_whole_model(small_parts, splitter, boxes):
    """Two lesions in opposite corners: one box around both covers the image, one each does not."""
    init_default_scope('ultrarefiner')
    cfg = dict(small_parts, prompt_generator=dict(type='ThresholdBox'), object_splitter=splitter, refine_size=(32, 32))
    cfg['refiner'] = FillsItsBox()
    model = MODELS.build(cfg).eval()
    lesions = squares((2, 2, 8), (22, 24, 6), (2, 28, 1))
    model.run_coarse = lambda images, samples=None: SegOutput(lesions)
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    stages = model.run([image], None, (32, 32))
    assert int(stages.prompts.valid.sum()) == boxes
    expected = lesions > 0
    if splitter is None:
        expected[..., 2:30, 2:28] = True
    else:
        # The quality of this refiner is the box's left edge.
        torch.testing.assert_close(stages.refined.quality, torch.tensor([[(2 / 32 + 22 / 32) / 2]]))
    assert torch.equal(stages.refined.logits > 0, expected)
    (result,) = model.predict([image])
    assert result.seg_logits.data.shape == (1, 64, 64)
    assert torch.equal(result.seg_logits.data[0, ::2, ::2] > 0, expected[0, 0])


@pytest.mark.parametrize(
    'arguments, message',
    [(dict(max_objects=0), 'max_objects'), (dict(min_area=1.0), 'min_area'), (dict(threshold=1.0), 'threshold')],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
