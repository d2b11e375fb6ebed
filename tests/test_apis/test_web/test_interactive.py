"""InteractiveRefinement: equal to predict without a change, exact when a change is taken back, encoded once."""

import copy

import pytest
import torch
from small_checkpoint import small_checkpoint

from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.web.interactive import InteractiveRefinement
from ultrarefiner.models.segmentors import PrecomputedCoarse

KINDS = ('SoftQuantileBox', 'SoftArgmaxPoint', 'LogitMaskPrompt')
ALL_KINDS = dict(type='ComposePrompts', generators=[dict(type=name) for name in KINDS])
SPLIT = dict(object_splitter=dict(type='ConnectedComponents', max_objects=2))


@pytest.fixture(scope='module')
def build(small_parts, tmp_path_factory):
    path = tmp_path_factory.mktemp('interactive') / 'best.pth'

    def build(phase=3, **changes):
        if phase == 3:
            changes.update(prompt_generator=ALL_KINDS)
        return init_model(small_checkpoint(small_parts, path, phase=phase, **changes), device='cpu')

    return build


@pytest.fixture(scope='module')
def model(build):
    return build()


@pytest.fixture
def refinement(model, image):
    refinement = InteractiveRefinement(model)
    refinement.open(image)
    return refinement


@pytest.fixture(scope='module')
def image(tiny_root):
    return tiny_root / 'test' / 'images' / 't8.png'


@torch.no_grad()
def predicted(model, refinement):
    """What `predict` makes of the image that is open."""
    pixels = torch.from_numpy(refinement.image)[None].expand(3, -1, -1)
    return model.predict([pixels])[0]


@pytest.mark.parametrize('changes', [{}, dict(classes=2), SPLIT])
def test_without_a_change_it_equals_predict(build, image, changes):
    model = build(**changes)
    refinement = InteractiveRefinement(model)
    coarse = refinement.open(image)
    sample, refined = predicted(model, refinement), refinement.refine()
    assert torch.equal(refined.logits[0], sample.seg_logits.data)
    assert torch.equal(coarse.logits[0], sample.coarse_logits.data) and refinement.size == (40, 48)
    assert refined.quality[0].tolist() == sample.metainfo['quality']
    assert (refinement.labels(refined) == sample.pred_sem_seg.data[0].numpy()).all()


def test_a_box_that_is_moved_back_restores_the_result(refinement):
    before, box = refinement.refine().logits, refinement.editor.prompts.boxes[0, 0].tolist()
    refinement.editor.move_box(0, (0.0, 0.0, 0.3, 0.3))
    elsewhere = refinement.refine().logits
    refinement.editor.move_box(0, box)
    assert not torch.allclose(before, elsewhere, atol=1e-4) and torch.equal(before, refinement.refine().logits)


def test_a_point_that_is_removed_or_undone_restores_the_result(refinement):
    before = refinement.refine().logits
    refinement.editor.add_point(0, (0.1, 0.9), positive=False)
    assert not torch.equal(before, refinement.refine().logits)
    refinement.editor.remove_point(0, 1)
    assert torch.equal(before, refinement.refine().logits)
    refinement.editor.undo()
    refinement.editor.undo()
    assert torch.equal(before, refinement.refine().logits) and not refinement.editor.is_changed


@pytest.mark.parametrize('kinds', [{'boxes'}, {'points'}, {'boxes', 'masks'}])
def test_kinds_that_are_off_are_not_given(refinement, kinds):
    kept = refinement.editor.prompts.keep(kinds)
    refinement.editor.keep(kinds)
    assert torch.equal(refinement.refine().logits, refinement.refine(kept).logits)
    refinement.editor.reset()
    assert not torch.allclose(refinement.refine().logits, refinement.refine(kept).logits, atol=1e-4)


def test_the_encoder_runs_once_an_image(model, image):
    runs = []
    parts = dict(encoder=model.refiner.image_encoder, coarse=model.coarse.backbone)
    hooks = [part.register_forward_hook(lambda *_, name=name: runs.append(name)) for name, part in parts.items()]
    refinement = InteractiveRefinement(model)
    refinement.open(image)
    for x in (0.2, 0.4, 0.6):
        refinement.editor.add_point(0, (x, 0.5), True)
        refinement.refine()
    assert runs == ['coarse', 'encoder']
    refinement.open(image)
    for hook in hooks:
        hook.remove()
    assert runs == ['coarse', 'encoder'] * 2 and not refinement.editor.is_changed


def test_where_the_coarse_network_found_nothing_a_box_begins(model, image):
    refinement = InteractiveRefinement(model)
    with pytest.MonkeyPatch.context() as patch:
        run = model.run_coarse
        patch.setattr(model, 'run_coarse', lambda images: run(images)._replace(logits=torch.full((1, 1, 32, 32), -9.0)))
        refinement.open(image)
    assert torch.equal(refinement.refine().logits, refinement.coarse.logits)
    refinement.editor.move_box(0, (0.2, 0.2, 0.8, 0.8))
    assert not torch.allclose(refinement.refine().logits, refinement.coarse.logits, atol=1e-2)


def test_slots_are_named_after_classes_and_objects(build, image):
    three = InteractiveRefinement(build(classes=2))
    three.open(image)
    assert three.slot_names() == ['lesion', 'cyst'] and three.open_slots() == [True, True]
    split = InteractiveRefinement(build(**SPLIT))
    split.open(image)
    assert split.slot_names() == ['lesion 1', 'lesion 2', 'lesion 3']
    # The last one is the splitter's rest.
    assert split.open_slots()[0] and not split.open_slots()[2]


def test_phase_1_has_nothing_to_refine(build, image):
    refinement = InteractiveRefinement(build(phase=1))
    refinement.open(image)
    assert refinement.editor is None and refinement.coarse.logits.shape == (1, 1, 40, 48)
    with pytest.raises(ValueError, match='of phase 1: it has no refiner'):
        refinement.refine()


def test_what_cannot_be_opened_leaves_the_image_before(refinement, tiny_root, tmp_path):
    before = refinement.refine().logits
    (tmp_path / 'no.png').write_text('no image')
    with pytest.raises(ValueError, match='damaged or no image'):
        refinement.open(tmp_path / 'no.png')
    with pytest.raises(ValueError, match='there are 2 images, expected one'):
        refinement.open(tiny_root / 'test' / 'images')
    assert torch.equal(before, refinement.refine().logits)


def test_phase_2_asks_for_its_coarse_network(model):
    with pytest.raises(ValueError, match='no image is open'):
        InteractiveRefinement(model).refine()
    other = copy.copy(model)
    other._modules = dict(model._modules, coarse=PrecomputedCoarse())
    with pytest.raises(ValueError, match=r'give the checkpoint of phase 1 .* \(--coarse\)'):
        InteractiveRefinement(other)
