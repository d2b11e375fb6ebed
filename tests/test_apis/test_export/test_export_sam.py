"""A trained, adapted model becomes a file that segment_anything reads as its own."""

import json
from pathlib import Path

import pytest
import torch
from export_makers import MADE, open_trained, save_trained, trained_cfg
from segment_anything import build_sam_vit_b
from segment_anything.modeling import ImageEncoderViT, Sam

from ultrarefiner.apis.export import write_sam
from ultrarefiner.apis.export.sam_file import registry_name
from ultrarefiner.models.refiners import SAMRefiner


def adapted(small_parts, **changes):
    return dict(small_parts['refiner'], encoder=dict(type='LoRAAdapter', use_dora=True), **changes)


@pytest.fixture
def model(small_parts, tmp_path):
    cfg = trained_cfg(small_parts, refiner=adapted(small_parts))
    return open_trained(save_trained(tmp_path / 'best.pth', cfg))


def test_segment_anything_reads_the_file_and_sees_the_same(model, tmp_path):
    notes = write_sam(model, tmp_path / 'new' / 'sam.pth', 'best.pth')
    assert 'SAMArchitecture(image_size=64' in notes[0] and 'InputProfile(size=(64, 64)' in notes[1]
    architecture = model.refiner.architecture
    sam = Sam(ImageEncoderViT(**architecture.encoder_sizes()), *architecture.build_decoding()).eval()
    sam.load_state_dict(torch.load(tmp_path / 'new' / 'sam.pth', weights_only=True))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.refiner.image_encoder(image)
        torch.testing.assert_close(sam.image_encoder(image), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(sam.mask_decoder.iou_token.weight, model.refiner.mask_decoder.iou_token.weight)
    facts = json.loads((tmp_path / 'new' / 'sam.json').read_text())
    assert facts['registry'] is None and facts['architecture']['image_size'] == 64
    assert facts['input_profile'] == model.refiner.input_profile.as_dict()
    assert facts['provenance']['splits'] == MADE['splits'] and facts['selection'] == dict(type='ArgmaxSelection')


def test_files_are_not_overwritten(model, tmp_path):
    for name in ('sam.json', 'sam.pth'):
        (tmp_path / name).write_text('mine')
        with pytest.raises(FileExistsError, match=f'{name} exists; give --force'):
            write_sam(model, tmp_path / 'sam.pth', 'best.pth')
        assert (tmp_path / name).read_text() == 'mine'
        (tmp_path / name).unlink()
    write_sam(model, tmp_path / 'sam.pth', 'best.pth')
    (tmp_path / 'sam.pth').write_text('damaged')
    write_sam(model, tmp_path / 'sam.pth', 'best.pth', force=True)
    assert 'mask_decoder.iou_token.weight' in torch.load(tmp_path / 'sam.pth', weights_only=True)
    with pytest.raises(ValueError, match='ends in .json'):
        write_sam(model, tmp_path / 'sam.json', 'best.pth', force=True)


def test_force_replaces_nothing_but_an_earlier_export(model, tmp_path):
    trained = (tmp_path / 'best.pth').read_bytes()
    for beside in (None, 'mine', '[]', '{"registry": null}'):
        if beside is not None:
            (tmp_path / 'best.json').write_text(beside)
        with pytest.raises(FileExistsError, match=r'best.pth is no earlier export .*best.json beside it'):
            write_sam(model, tmp_path / 'best.pth', 'best.pth', force=True)
    assert (tmp_path / 'best.pth').read_bytes() == trained and (tmp_path / 'best.json').read_text() == beside


def test_of_a_wrapped_sam_the_sam_is_written_and_that_is_said(small_parts, tmp_path):
    cfg = trained_cfg(small_parts, refiner=dict(type='ROIRefiner', refiner=adapted(small_parts)))
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    notes = write_sam(model, tmp_path / 'sam.pth', 'best.pth')
    assert any('what ROIRefiner does around the SAM is not in it' in note for note in notes)
    assert 'image_encoder.pos_embed' in torch.load(tmp_path / 'sam.pth', weights_only=True)


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(refiner=dict(type='ConvRefiner')), 'the refiner of best.pth, ConvRefiner, holds 0 SAM'),
        (dict(refiner=None, prompt_generator=None, losses=[]), 'best.pth has no refiner, it is of phase 1'),
    ],
    ids=['another refiner', 'no refiner'],
)
def test_a_model_without_a_sam_is_refused(small_parts, tmp_path, changes, message):
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts, **changes)))
    with pytest.raises(ValueError, match=message):
        write_sam(model, tmp_path / 'sam.pth', 'best.pth')


@pytest.mark.parametrize('encoder', ['frozen', dict(type='LoRAAdapter'), dict(type='QKVLoRAAdapter')], ids=str)
def test_the_names_and_shapes_of_vit_b_are_the_published_ones(encoder):
    with torch.device('meta'):
        refiner, published = SAMRefiner(encoder=encoder), build_sam_vit_b()
        state = {name: value.shape for name, value in refiner.state_dict().items()}
    plain_key = str if refiner.adapter is None else refiner.adapter.plain_key
    names = {plain_key(name): shape for name, shape in state.items() if plain_key(name) is not None}
    assert names == {name: value.shape for name, value in published.state_dict().items()}
    assert registry_name(refiner) == 'vit_b'


@pytest.mark.slow
def test_a_model_of_transformers_becomes_its_own_kind_of_folder(small_parts, tmp_path):
    from transformers import SamModel

    vision = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, mlp_dim=16, output_channels=16)
    arch = dict(
        model_type='sam',
        image_size=64,
        vision_config=dict(vision, global_attn_indexes=[1], window_size=2),
        prompt_encoder_config=dict(hidden_size=16),
        mask_decoder_config=dict(hidden_size=16, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=16),
    )
    cfg = trained_cfg(small_parts, refiner=dict(type='TransformersRefiner', arch=arch))
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    notes = write_sam(model, Path(tmp_path / 'folder'), 'best.pth')
    assert notes[0].startswith('open it with transformers.SamModel.from_pretrained(')
    facts = json.loads((tmp_path / 'folder' / 'ultrarefiner.json').read_text())
    assert facts['input_profile'] == model.refiner.input_profile.as_dict()
    opened, expected = SamModel.from_pretrained(tmp_path / 'folder'), model.refiner.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in opened.state_dict().items())
