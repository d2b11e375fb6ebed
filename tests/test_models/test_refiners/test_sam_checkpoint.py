"""Loading weights: the published layouts, MedSAM's, ours, adapted ones, and every fault."""

import pytest
import torch
import torch.nn.functional as F
from sam_makers import LORA, TINY, coarse, original_sam, random_image, random_prompts, tiny_refiner

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.utils.partial_checkpoint import fingerprints, frozen_names


def outputs(refiner):
    with torch.no_grad():
        return refiner.eval()([random_image(40, 60)], coarse(1), random_prompts(1), (20, 30)).logits


def save(tmp_path, content):
    path = tmp_path / 'weights.pth'
    torch.save(content, path)
    return str(path)


LAYOUTS = dict(
    published=lambda state: state,
    medsam_training=lambda state: dict(
        model={f'module.{name}': value for name, value in state.items()}, optimizer=dict(state={}), epoch=3
    ),
    ours=lambda state: dict(
        meta=dict(epoch=1),
        state_dict={'coarse.weight': torch.zeros(2), **{f'refiner.{name}': value for name, value in state.items()}},
    ),
    inside_a_wrapper=lambda state: dict(state_dict={f'refiner.refiner.{name}': value for name, value in state.items()}),
)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_same_outputs(layout, tmp_path):
    source = tiny_refiner()
    path = save(tmp_path, LAYOUTS[layout](original_sam(source).state_dict()))
    loaded = SAMRefiner(arch=TINY, checkpoint=path)
    assert (outputs(loaded) - outputs(source)).abs().max() > 1e-3  # nothing is read before init_weights
    loaded.init_weights()
    assert torch.equal(outputs(loaded), outputs(source))


def test_init_weights_reads_the_file_once(tmp_path):
    loaded = SAMRefiner(arch=TINY, checkpoint=save(tmp_path, tiny_refiner().state_dict()))
    loaded.init_weights()
    trained = loaded.mask_decoder.iou_token.weight.data.fill_(7.0)
    loaded.init_weights()
    assert (trained == 7.0).all()


@pytest.mark.parametrize('encoder', [LORA, dict(LORA, use_dora=True), dict(type='QKVLoRAAdapter')], ids=str)
def test_plain_weights_fit_an_adapted_encoder_and_give_the_same_outputs(tmp_path, encoder):
    source = tiny_refiner()
    adapted = SAMRefiner(arch=TINY, encoder=encoder)
    adapted.load_checkpoint(save(tmp_path, source.state_dict()))
    torch.testing.assert_close(outputs(adapted), outputs(source))


def test_adapted_weights_fit_an_adapted_encoder_and_no_plain_one(tmp_path):
    source = tiny_refiner(encoder=LORA)
    path = save(tmp_path, source.state_dict())
    adapted = SAMRefiner(arch=TINY, encoder=LORA)
    adapted.load_checkpoint(path)
    assert torch.equal(outputs(adapted), outputs(source))
    with pytest.raises(ValueError, match='surplus.*lora_A.*encoder'):
        SAMRefiner(arch=TINY).load_checkpoint(path)


def partial_file(tmp_path, source):
    frozen = frozen_names(source)
    state = source.state_dict()
    kept = {f'refiner.{name}': value for name, value in state.items() if name not in frozen}
    prints = {f'refiner.{name}': value for name, value in fingerprints(state, frozen).items()}
    meta = dict(ultrarefiner_partial=dict(frozen={'coarse.weight': 'x', **prints}, count=len(prints) + 1))
    return save(tmp_path, dict(meta=meta, state_dict=kept))


def test_trained_weights_are_laid_over_their_base_and_over_no_other(tmp_path):
    base = tiny_refiner(encoder='frozen')
    trained = tiny_refiner(encoder='frozen')
    trained.load_state_dict(base.state_dict())
    trained.mask_decoder.iou_token.weight.data.add_(1.0)
    path = partial_file(tmp_path, trained)
    base.load_checkpoint(path)
    assert torch.equal(outputs(base), outputs(trained))
    with pytest.raises(ValueError, match='only trained weights.*image_encoder.*Load the file they came from first'):
        SAMRefiner(arch=TINY).load_checkpoint(path)


def test_missing_surplus_and_misshapen_entries_are_listed_in_one_message(tmp_path):
    state = tiny_refiner().state_dict()
    del state['mask_decoder.iou_token.weight']
    state['mask_decoder.extra'] = torch.zeros(1)
    state['image_encoder.neck.0.weight'] = torch.zeros(16, 32, 1, 1)
    with pytest.raises(ValueError) as error:
        SAMRefiner(arch=TINY).load_checkpoint(save(tmp_path, state))
    message = str(error.value)
    assert '1 missing: mask_decoder.iou_token.weight' in message
    assert '1 surplus: mask_decoder.extra' in message
    assert 'image_encoder.neck.0.weight (16, 32, 1, 1) instead of (32, 32, 1, 1)' in message
    assert 'Check arch' in message


def test_an_absent_file_says_what_it_is_where_it_is_and_how_to_go_on():
    refiner = SAMRefiner(arch=TINY, checkpoint='weights/sam_vit_b_01ec64.pth')
    with pytest.raises(FileNotFoundError) as error:
        refiner.init_weights()
    for words in ('weights/sam_vit_b_01ec64.pth', 'dl.fbaipublicfiles.com', 'bowang-lab/MedSAM', 'checkpoint=None'):
        assert words in str(error.value)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / 'page.pth'
    path.write_text('<html>quota exceeded</html>')
    with pytest.raises(ValueError, match='page.pth cannot be read'):
        SAMRefiner(arch=TINY).load_checkpoint(path)
    other = save(tmp_path, {'backbone.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='no Segment Anything Model.*backbone.weight'):
        SAMRefiner(arch=TINY).load_checkpoint(other)


def test_another_input_profile_is_refused_and_both_are_named(tmp_path):
    medsam = tiny_refiner(input_profile='medsam')
    meta = dict(ultrarefiner=dict(input_profiles=dict(refiner=medsam.input_profile.as_dict())))
    state = {f'refiner.{name}': value for name, value in medsam.state_dict().items()}
    path = save(tmp_path, dict(meta=meta, state_dict=state))
    with pytest.raises(ValueError, match='minmax.*123.675'):
        SAMRefiner(arch=TINY).load_checkpoint(path)
    same = SAMRefiner(arch=TINY, input_profile='medsam')
    same.load_checkpoint(path)
    assert torch.equal(outputs(same), outputs(medsam))


def test_position_embeddings_are_interpolated_to_another_image_size(tmp_path):
    source = tiny_refiner()
    larger = SAMRefiner(arch=dict(TINY, image_size=96))
    larger.load_checkpoint(save(tmp_path, source.state_dict()))
    old, new = source.image_encoder, larger.image_encoder
    expected = F.interpolate(old.pos_embed.permute(0, 3, 1, 2), (12, 12), mode='bilinear').permute(0, 2, 3, 1)
    torch.testing.assert_close(new.pos_embed, expected)
    # The relative ones of the block that sees the whole image: as segment_anything would stretch them at run time.
    stretched = F.interpolate(old.blocks[1].attn.rel_pos_h.T[None], 23, mode='linear')[0].T
    torch.testing.assert_close(new.blocks[1].attn.rel_pos_h, stretched)
    assert torch.equal(new.blocks[0].attn.rel_pos_h, old.blocks[0].attn.rel_pos_h)


@pytest.mark.parametrize('encoder', ['frozen', LORA, dict(LORA, use_dora=True)], ids=str)
def test_a_plain_state_dict_is_segment_anythings_and_gives_the_same_outputs(encoder):
    source = tiny_refiner(encoder=encoder)  # its adapter has random weights
    before = outputs(source)
    plain = SAMRefiner(arch=TINY).eval()
    state = source.plain_state_dict()
    plain.load_state_dict(state)  # every name is segment_anything's, and none is missing
    original_sam(plain)
    torch.testing.assert_close(outputs(plain), before, atol=1e-4, rtol=1e-4)
    assert torch.equal(outputs(source), before)
