"""A package holds everything that a model needs, and says what it is."""

import copy
import json

import pytest
import torch
import yaml
from export_makers import MADE, META, open_trained, save_trained, trained_cfg

from ultrarefiner.apis.export import model_card
from ultrarefiner.apis.model_package import write_package
from ultrarefiner.utils.partial_checkpoint import PARTIAL_KEY, fingerprints

NO_LICENCE = 'not known; state it here'


@pytest.fixture(scope='module')
def path(small_parts, tmp_path_factory):
    return save_trained(tmp_path_factory.mktemp('trained') / 'best.pth', trained_cfg(small_parts))


@torch.no_grad()
def logits(model):
    image = torch.randint(0, 256, (3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return model.predict([image])[0].seg_logits.data


def packaged(model, folder, **options):
    write_package(model, folder, model_card(model, 'm', **options))
    return open_trained(folder)


def test_what_is_opened_is_the_same_model(path, tmp_path):
    model = open_trained(path)
    opened = packaged(model, tmp_path / 'package')
    assert torch.equal(logits(opened), logits(model))
    assert opened.dataset_meta == META and opened.provenance == model.provenance
    assert {file.name for file in (tmp_path / 'package').iterdir()} == {
        'README.md',
        'config.py',
        'meta.json',
        'model.safetensors',
    }
    # A package of a package is the same package.
    again = packaged(opened, tmp_path / 'again')
    assert torch.equal(logits(again), logits(model))


def test_nothing_of_the_machine_that_trained_goes_along(small_parts, tmp_path):
    cfg = trained_cfg(small_parts, init_from=dict(coarse='/a/machine/best.pth'))
    cfg.model.refiner.checkpoint = '/a/machine/sam.pth'
    cfg.model.coarse.backbone.init_cfg = dict(type='Pretrained', checkpoint='/a/machine/vit.npz')
    path = save_trained(tmp_path / 'best.pth', cfg)
    opened = packaged(open_trained(path), tmp_path / 'package')
    assert '/a/machine' not in ''.join(file.read_text() for file in (tmp_path / 'package').glob('*.[pjR]*'))
    assert torch.equal(logits(opened), logits(open_trained(path)))


def test_a_checkpoint_of_what_trained_becomes_whole(small_parts, tmp_path):
    cfg = trained_cfg(small_parts)
    whole = open_trained(save_trained(tmp_path / 'whole.pth', cfg))
    state = whole.state_dict()
    frozen = [name for name in state if name.startswith('refiner.image_encoder') and 'lora' not in name]
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'base.pth')
    partial = copy.deepcopy(cfg)
    partial.model.init_from = dict(refiner=str(tmp_path / 'base.pth'), coarse=str(tmp_path / 'base.pth'))
    meta = {'cfg': partial.pretty_text, 'dataset_meta': META, PARTIAL_KEY: dict(frozen=fingerprints(state, frozen))}
    kept = {name: value for name, value in state.items() if name not in frozen}
    torch.save(dict(meta=meta, state_dict=kept), tmp_path / 'part.pth')
    model = open_trained(tmp_path / 'part.pth')
    (tmp_path / 'base.pth').unlink()
    assert torch.equal(logits(packaged(model, tmp_path / 'package')), logits(whole))


def test_the_rules_of_a_guard_go_along(small_parts, tmp_path):
    (tmp_path / 'guard.json').write_text(json.dumps(dict(rules=dict(agreement=[0.9, None]))))
    plain = copy.deepcopy(small_parts['refiner'])
    guarded = dict(type='GuardedRefiner', refiner=plain, rules=str(tmp_path / 'guard.json'))
    model = open_trained(save_trained(tmp_path / 'best.pth', trained_cfg(small_parts, refiner=guarded)))
    write_package(model, tmp_path / 'package', '')
    (tmp_path / 'guard.json').unlink()
    assert open_trained(tmp_path / 'package').refiner.rules.ranges == dict(agreement=(0.9, None))


def test_the_card_says_what_it_is(path):
    card = model_card(open_trained(path), 'my model')
    _, front, body = card.split('---\n', 2)
    front = yaml.safe_load(front)
    assert front['pipeline_tag'] == 'image-segmentation' and 'model-index' not in front
    assert '# my model' in body
    for fact in (
        'TransUNetBackbone',
        'SAMRefiner',
        'boxes, masks, points',
        'BUSI, split abc123',
        'fold 3',
        'phase 3',
        '| Dice | 0.5000 | 0.7500 | 0.2500 |',
        'not a medical device',
        'BUSI: public',
    ):
        assert fact in body
    assert NO_LICENCE not in body


def test_the_card_shows_the_results_of_a_test(path, tmp_path):
    results = dict(dataset='BUSI', split_sha256='abc123', subset='test', images=129, means={'refined/Dice': 0.625})
    (tmp_path / 'per_image.json').write_text(json.dumps(results))
    model = open_trained(path)
    card = model_card(model, 'm', results=[tmp_path / 'per_image.json'])
    assert 'Means over 129 images of BUSI (test):\n\n| metric | refined |\n|---|---|\n| Dice | 0.6250 |' in card
    shown = yaml.safe_load(card.split('---\n')[1])['model-index'][0]['results'][0]
    assert shown['metrics'] == [dict(type='dice', name='refined Dice', value=0.625)]
    (tmp_path / 'per_image.json').write_text(json.dumps(dict(results, split_sha256='another')))
    with pytest.raises(ValueError, match='is of the split another of BUSI, the model was trained on the split abc123'):
        model_card(model, 'm', results=[tmp_path / 'per_image.json'])
    (tmp_path / 'per_image.json').write_text('[]')
    with pytest.raises(ValueError, match='is no per_image.json'):
        model_card(model, 'm', results=[tmp_path / 'per_image.json'])
    with pytest.raises(FileNotFoundError, match='tools/test.py writes'):
        model_card(model, 'm', results=[tmp_path / 'absent.json'])


def test_the_card_shows_several_tests_and_which_data_is_foreign(path, tmp_path):
    for dataset, split in (('BUSI', 'abc123'), ('BUSBRA', 'def456')):
        results = dict(dataset=dataset, split_sha256=split, subset='test', images=2, means={'refined/Dice': 0.5})
        (tmp_path / dataset).mkdir()
        (tmp_path / dataset / 'per_image.json').write_text(json.dumps(results))
    card = model_card(open_trained(path), 'm', results=[tmp_path / 'BUSI', tmp_path / 'BUSBRA'])
    assert 'Means over 2 images of BUSI (test):' in card
    assert 'Means over 2 images of BUSBRA (test), a dataset that it was not trained on:' in card
    shown = yaml.safe_load(card.split('---\n')[1])['model-index'][0]['results']
    assert [result['dataset']['name'] for result in shown] == ['BUSI', 'BUSBRA']


def test_the_card_names_the_parts_of_a_merged_dataset(path):
    model = open_trained(path)
    model.provenance = dict(MADE, dataset='both', splits=dict(BUSI='a', BUSBRA='b', both='c'))
    card = model_card(model, 'm')
    assert 'both, split c' in card and 'BUSBRA: CC BY 4.0' in card and 'BUSI: public' in card
    assert '10.1016/j.dib.2019.104863' in card and '10.1002/mp.16812' in card and NO_LICENCE not in card


def test_terms_that_are_not_known_are_to_be_stated(path):
    model = open_trained(path)
    model.provenance = dict(MADE, splits={'BUS_UCLM': 'a', 'our clinic': 'b'})
    card = model_card(model, 'm')
    assert 'BUS_UCLM: CC BY 4.0' in card and f'our clinic: **{NO_LICENCE}**' in card
    given = model_card(model, 'm', data_licence='With consent, for research.')
    assert 'With consent, for research.' in given and NO_LICENCE not in given and 'CC BY' not in given
    model.provenance = {}
    assert 'Not known: the checkpoint did not say.' in model_card(model, 'm')


def test_plug_ins_and_missing_coarse_networks_are_named(small_parts, tmp_path):
    cfg = trained_cfg(small_parts, coarse=dict(type='PrecomputedCoarse', num_slots=1))
    model = open_trained(save_trained(tmp_path / 'best.pth', cfg))
    model.cfg.custom_imports = dict(imports=['our_plug_in'])
    card = model_card(model, 'm')
    assert 'plug-ins that have to be importable: our_plug_in' in card and "coarse='phase_1/best.pth'" in card
    write_package(model, tmp_path / 'package', card)
    assert "'our_plug_in'" in (tmp_path / 'package' / 'config.py').read_text()


def test_only_a_package_is_replaced(path, tmp_path):
    model, folder = open_trained(path), tmp_path / 'package'
    write_package(model, folder, 'first')
    with pytest.raises(FileExistsError, match='package exists; give --force'):
        write_package(model, folder, 'second')
    write_package(model, folder, 'second', force=True)
    assert (folder / 'README.md').read_text() == 'second'
    (folder / 'meta.json').rename(folder / 'config.json')  # As a model of `transformers` looks.
    with pytest.raises(FileExistsError, match='is no earlier export of this format'):
        write_package(model, folder, 'third', force=True)
    assert (folder / 'README.md').read_text() == 'second'
