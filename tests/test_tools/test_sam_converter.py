"""A trained, adapted model becomes a file that segment_anything reads as its own."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from segment_anything import build_sam_vit_b
from segment_anything.modeling import ImageEncoderViT, Sam

from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.registry import MODELS

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'model_converters' / 'sam.py'


def run(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')


@pytest.fixture
def trained(small_parts, tmp_path, clean_runner):
    """A config with a DoRA-adapted SAM, and a checkpoint of it with every weight changed."""
    init_default_scope('ultrarefiner')
    parts = dict(small_parts, prompt_generator=dict(type='MaskPrompt'))
    parts['refiner'] = dict(parts['refiner'], encoder=dict(type='LoRAAdapter', use_dora=True))
    (tmp_path / 'config.py').write_text(f'model = {parts!r}')
    torch.manual_seed(0)
    model = MODELS.build(parts)
    with torch.no_grad():
        for weight in model.refiner.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'best.pth')
    return model.eval(), tmp_path


def test_segment_anything_reads_the_file_and_sees_the_same(trained, capsys):
    model, folder = trained
    run(folder / 'config.py', folder / 'best.pth', folder / 'sam.pth')
    assert 'InputProfile(size=(64, 64)' in capsys.readouterr().out
    architecture = model.refiner.architecture
    sam = Sam(ImageEncoderViT(**architecture.encoder_sizes()), *architecture.build_decoding()).eval()
    sam.load_state_dict(torch.load(folder / 'sam.pth', weights_only=True))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.refiner.image_encoder(image)
        torch.testing.assert_close(sam.image_encoder(image), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(sam.mask_decoder.iou_token.weight, model.refiner.mask_decoder.iou_token.weight)


def test_a_file_is_not_overwritten(trained, capfd):
    _, folder = trained
    (folder / 'sam.pth').write_text('mine')
    with pytest.raises(SystemExit) as stop:
        run(folder / 'config.py', folder / 'best.pth', folder / 'sam.pth')
    assert stop.value.code == 2 and '--force' in capfd.readouterr().err
    assert (folder / 'sam.pth').read_text() == 'mine'
    run(folder / 'config.py', folder / 'best.pth', folder / 'sam.pth', '--force')
    assert 'mask_decoder.iou_token.weight' in torch.load(folder / 'sam.pth', weights_only=True)


def test_a_model_without_a_sam_is_refused(small_parts, tmp_path, clean_runner, capfd):
    init_default_scope('ultrarefiner')
    parts = {name: small_parts[name] for name in ('type', 'coarse', 'coarse_input')}
    (tmp_path / 'config.py').write_text(f'model = {parts!r}')
    torch.save(dict(state_dict=MODELS.build(parts).state_dict()), tmp_path / 'best.pth')
    with pytest.raises(SystemExit):
        run(tmp_path / 'config.py', tmp_path / 'best.pth', tmp_path / 'sam.pth')
    assert 'has 0 SAMRefiner, expected one' in capfd.readouterr().err


@pytest.mark.parametrize('encoder', ['frozen', dict(type='LoRAAdapter'), dict(type='QKVLoRAAdapter')], ids=str)
def test_the_names_and_shapes_of_vit_b_are_the_published_ones(encoder):
    with torch.device('meta'):
        refiner, published = SAMRefiner(encoder=encoder), build_sam_vit_b()
        state = {name: value.shape for name, value in refiner.state_dict().items()}
    plain_key = str if refiner.adapter is None else refiner.adapter.plain_key
    names = {plain_key(name): shape for name, shape in state.items() if plain_key(name) is not None}
    assert names == {name: value.shape for name, value in published.state_dict().items()}
