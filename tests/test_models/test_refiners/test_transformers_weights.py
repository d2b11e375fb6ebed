"""Loading the files of `transformers`: what save_pretrained writes comes back, and every fault has one message."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from sam_makers import coarse, random_image, random_prompts
from test_transformers_refiner import QKV
from transformers_makers import TINY, tiny

from ultrarefiner.models.refiners import TransformersRefiner


def outputs(refiner):
    with torch.no_grad():
        return refiner.eval()([random_image(40, 60)], coarse(1), random_prompts(1), (20, 30)).logits


def saved(tmp_path, architecture, **config):
    """A folder as save_pretrained makes it, with changes to config.json; and the refiner it came from."""
    source = tiny(architecture)
    source.save_pretrained(tmp_path)
    path = tmp_path / 'config.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return str(tmp_path), source


def changed_weights(folder, change):
    path = f'{folder}/model.safetensors'
    state = load_file(path)
    change(state)
    save_file(state, path, metadata=dict(format='pt'))


@pytest.mark.parametrize('model_type, arch', [*((name, None) for name in TINY), ('sam2', TINY['sam2'])])
def test_a_saved_folder_gives_the_same_outputs(model_type, arch, tmp_path):
    folder, source = saved(tmp_path, model_type)
    loaded = TransformersRefiner(arch, folder)
    assert (outputs(loaded) - outputs(source)).abs().max() > 1e-3  # nothing is read before init_weights
    loaded.init_weights()
    assert torch.equal(outputs(loaded), outputs(source))
    trained = loaded.model.mask_decoder.iou_token.weight.data.fill_(7.0)
    loaded.init_weights()
    assert (trained == 7.0).all()  # and only once


@pytest.mark.parametrize('model_type', ['sam2', 'edgetam'])
def test_the_file_of_a_video_model_holds_an_image_model(model_type, tmp_path):
    folder, source = saved(tmp_path, model_type, model_type=f'{model_type}_video')
    changed_weights(folder, lambda state: state.update({'memory_attention.weight': torch.zeros(3)}))
    loaded = TransformersRefiner(pretrained=folder)
    loaded.init_weights()
    assert torch.equal(outputs(loaded), outputs(source))


@pytest.mark.parametrize('model_type', ['sam', 'sam2'])
def test_plain_weights_fit_an_adapted_encoder_and_give_the_same_outputs(model_type, tmp_path):
    folder, source = saved(tmp_path, model_type)
    adapter = dict(type='LoRAAdapter', target_modules=QKV[model_type], r=2, use_dora=model_type == 'sam')
    adapted = TransformersRefiner(pretrained=folder, encoder=adapter)
    adapted.init_weights()
    torch.testing.assert_close(outputs(adapted), outputs(source), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('model_type', ['sam', 'sam2'])
def test_a_trained_adapter_is_saved_merged_and_stays(model_type, tmp_path):
    adapter = dict(type='LoRAAdapter', target_modules=QKV[model_type], r=2)
    adapted = tiny(model_type, encoder=adapter)  # with weights of its own in the adapter
    before = outputs(adapted)
    adapted.save_pretrained(tmp_path)
    loaded = TransformersRefiner(pretrained=str(tmp_path))
    loaded.init_weights()
    torch.testing.assert_close(outputs(loaded), before, atol=1e-3, rtol=1e-3)
    assert torch.equal(outputs(adapted), before)


def test_half_precision_weights_become_single_precision(tmp_path):
    source = tiny('sam2')
    source.model.bfloat16().save_pretrained(tmp_path)
    loaded = TransformersRefiner(pretrained=str(tmp_path))
    loaded.init_weights()
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    weight = loaded.model.mask_decoder.mask_tokens.weight
    assert torch.equal(weight, source.model.mask_decoder.mask_tokens.weight.float())


def test_missing_surplus_and_misshapen_weights_are_listed_in_one_message(tmp_path):
    def change(state):
        del state['mask_decoder.iou_token.weight']
        state['mask_decoder.extra'] = torch.zeros(1)
        state['prompt_encoder.no_mask_embed.weight'] = torch.zeros(1, 16)

    folder, _ = saved(tmp_path, 'sam')
    changed_weights(folder, change)
    with pytest.raises(ValueError) as error:
        TransformersRefiner(pretrained=folder).init_weights()
    message = str(error.value)
    assert '1 missing: mask_decoder.iou_token.weight' in message
    assert '1 surplus: mask_decoder.extra' in message
    assert 'prompt_encoder.no_mask_embed.weight (1, 16) instead of (1, 32)' in message


def test_weights_of_other_sizes_are_refused(tmp_path):
    folder, _ = saved(tmp_path, 'sam')
    other = TransformersRefiner(dict(TINY['sam'], image_size=96), folder)
    with pytest.raises(
        ValueError, match=r'vision_encoder.pos_embed \(1, 8, 8, 24\) instead of \(1, 12, 12, 24\).*arch'
    ):
        other.init_weights()


def test_a_folder_of_another_architecture_is_refused(tmp_path):
    folder, _ = saved(tmp_path, 'sam2')
    with pytest.raises(ValueError, match='holds a sam2, but the architecture is sam_hq; change arch'):
        TransformersRefiner(TINY['sam_hq'], folder).init_weights()


@pytest.mark.parametrize('arch', [None, 'facebook/sam2.1-hiera-tiny'])
def test_an_absent_folder_says_what_it_is_where_it_is_and_how_to_go_on(arch):
    with pytest.raises(FileNotFoundError) as error, torch.device('meta'):
        TransformersRefiner(arch, 'weights/sam2.1-hiera-tiny').init_weights()
    words = ['weights/sam2.1-hiera-tiny', 'model.safetensors', 'facebook/sam2.1-hiera-tiny', 'hf download']
    words += ['pretrained=None']
    assert all(word in str(error.value) for word in words)
    assert ('facebook/sam-vit-base' in str(error.value)) == (arch is None)  # names of the architecture alone


@pytest.mark.parametrize('name', ['facebook/sam-vit-base', 'hf://nobody/no-such-model', 'hf://a/b/c'])
def test_a_name_that_cannot_be_had_is_one_message(name):
    with pytest.raises(FileNotFoundError, match=f"pretrained is '{name}'.*pretrained=None") as error:
        TransformersRefiner(TINY['sam'], name, local_files_only=True).init_weights()
    assert '\n' not in str(error.value)


def test_a_damaged_file_is_refused(tmp_path):
    folder, _ = saved(tmp_path, 'sam')
    (tmp_path / 'model.safetensors').write_text('<html>quota exceeded</html>')
    with pytest.raises(ValueError, match='cannot be read.*model.safetensors'):
        TransformersRefiner(pretrained=folder).init_weights()
    (tmp_path / 'config.json').write_text('<html>')
    with pytest.raises(ValueError, match='config.json is no config.json'):
        TransformersRefiner(pretrained=folder)


@pytest.mark.parametrize(
    'model_type, words',
    [('bert', 'expected one of sam, sam_hq'), ('sam3', 'text.*sam3_tracker'), ('sam3_video', 'save the tracker alone')],
)
def test_a_folder_of_another_kind_is_refused(model_type, words, tmp_path):
    folder, _ = saved(tmp_path, 'sam', model_type=model_type)
    with pytest.raises(ValueError, match=f"'{model_type}'.*{words}"):
        TransformersRefiner(pretrained=folder)
