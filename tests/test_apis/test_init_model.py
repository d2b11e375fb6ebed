"""init_model: the same model from a checkpoint alone, a config with weights, a Config and a package."""

import copy
import json

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.model import build_model
from ultrarefiner.apis.model_config import read_model_config
from ultrarefiner.utils.partial_checkpoint import PARTIAL_KEY, fingerprints

BOX = dict(type='SoftQuantileBox')
META = dict(classes=('background', 'lesion'), palette=[[0, 0, 0], [1, 2, 3]])


@pytest.fixture(scope='module')
def cfg(small_parts):
    """Of a phase-3 training, with what only training needs, none of which is there."""
    model = dict(
        copy.deepcopy(small_parts),
        prompt_generator=BOX,
        losses=[dict(type='StageDice', stage='refined')],
        init_from=dict(coarse='gone/best.pth', refiner='gone/best.pth'),
    )
    model['refiner']['checkpoint'] = 'gone/sam.pth'
    return Config(dict(default_scope='ultrarefiner', model=model))


def save(path, cfg, model, **meta):
    meta = dict(cfg=cfg.pretty_text, dataset_meta=META, ultrarefiner=dict(fold=3, split_sha256='abc'), **meta)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def trained(cfg, tmp_path_factory):
    """A checkpoint, and the model that it is of."""
    torch.manual_seed(0)
    model = build_model(cfg)
    return save(tmp_path_factory.mktemp('trained') / 'best.pth', cfg, model), model.eval()


@pytest.fixture(scope='module')
def image():
    return torch.randint(0, 256, (3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(model, image):
    return model.predict([image])[0].seg_logits.data


def test_a_checkpoint_is_enough(trained, image):
    path, model = trained
    loaded = init_model(path)
    assert torch.equal(logits(loaded, image), logits(model, image))
    assert not loaded.training and loaded.dataset_meta == META and loaded.provenance['split_sha256'] == 'abc'


def test_a_checkpoint_cannot_run_a_program(cfg, tmp_path):
    ran = tmp_path / 'ran'
    evil = copy.deepcopy(cfg)
    evil.model.coarse = dict(type='subprocess.getoutput', cmd=f'touch {ran}')
    torch.save(dict(meta=dict(cfg=evil.pretty_text), state_dict={}), tmp_path / 'best.pth')
    for opened in (init_model, read_model_config):
        with pytest.raises(ValueError, match=r"best\.pth: .*'subprocess.getoutput'.* is not run"):
            opened(tmp_path / 'best.pth')
    assert not ran.exists()


def test_a_config_file_and_a_config_take_weights(trained, cfg, image, tmp_path):
    path, model = trained
    (tmp_path / 'config.py').write_text(cfg.pretty_text)
    for given in (tmp_path / 'config.py', str(tmp_path / 'config.py'), cfg):
        assert torch.equal(logits(init_model(given, path), image), logits(model, image))
    assert 'losses' in cfg.model


def test_a_package_is_enough(trained, cfg, image, tmp_path):
    _, model = trained
    (tmp_path / 'config.py').write_text(cfg.pretty_text)
    save_file(model.state_dict(), tmp_path / 'model.safetensors')
    (tmp_path / 'meta.json').write_text(json.dumps(dict(dataset_meta=META, ultrarefiner=dict(fold=3))))
    loaded = init_model(tmp_path)
    assert torch.equal(logits(loaded, image), logits(model, image)) and loaded.provenance == dict(fold=3)
    with pytest.raises(ValueError, match='has weights of its own'):
        init_model(tmp_path, trained[0])
    (tmp_path / 'model.safetensors').write_bytes(b'damaged')
    with pytest.raises(ValueError, match='the package .* cannot be read .*; export it again'):
        init_model(tmp_path)


def test_the_coarse_network_can_be_another_ones(trained, cfg, image, tmp_path):
    torch.manual_seed(1)
    other = build_model(cfg).eval()
    loaded = init_model(trained[0], coarse=save(tmp_path / 'other.pth', cfg, other))
    with torch.no_grad():
        assert torch.equal(loaded.run_coarse([image]).logits, other.run_coarse([image]).logits)
    own, theirs = loaded.refiner.state_dict(), trained[1].refiner.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in theirs)


def test_the_plug_ins_of_another_coarse_network_come_with_it(trained, cfg, tmp_path):
    other = copy.deepcopy(cfg)
    other.custom_imports = dict(imports='json', allow_failed_imports=False)
    assert 'custom_imports' not in init_model(trained[0]).cfg
    loaded = init_model(trained[0], coarse=save(tmp_path / 'other.pth', other, build_model(other)))
    assert loaded.cfg.custom_imports == dict(imports=['json'], allow_failed_imports=False)


def test_a_coarse_network_of_other_classes_is_refused(trained, cfg, tmp_path):
    three = copy.deepcopy(cfg)
    three.model.coarse.decode_head.num_classes = 3
    path = save(tmp_path / 'three.pth', three, build_model(three))
    with pytest.raises(ValueError, match='three.pth has 2 foreground classes, the model 1'):
        init_model(trained[0], coarse=path)


def test_a_coarse_network_with_its_classes_in_another_order_is_refused(cfg, tmp_path):
    three = copy.deepcopy(cfg)
    three.model.coarse.decode_head.num_classes = 3
    for name, classes in (('one', ('background', 'cyst', 'tumour')), ('other', ('background', 'tumour', 'cyst'))):
        meta = dict(cfg=three.pretty_text, dataset_meta=dict(META, classes=classes))
        torch.save(dict(meta=meta, state_dict=build_model(three).state_dict()), tmp_path / f'{name}.pth')
    with pytest.raises(ValueError, match=r"other.pth has the classes .*'tumour', 'cyst'\), .* same order"):
        init_model(tmp_path / 'one.pth', coarse=tmp_path / 'other.pth')


def test_classes_that_a_checkpoint_does_not_name_are_numbered(cfg, tmp_path):
    torch.save(dict(meta=dict(cfg=cfg.pretty_text), state_dict=build_model(cfg).state_dict()), tmp_path / 'a.pth')
    meta = init_model(tmp_path / 'a.pth').dataset_meta
    assert meta['classes'] == ('background', 'class 1') and len(meta['palette']) == 2


def test_a_partial_checkpoint_asks_for_the_frozen_weights(cfg, tmp_path):
    model = build_model(cfg)
    state = model.state_dict()
    frozen = [name for name in state if name.startswith('refiner.image_encoder')]
    meta = {'cfg': cfg.pretty_text, PARTIAL_KEY: dict(frozen=fingerprints(state, frozen), count=len(frozen))}
    kept = {name: value for name, value in state.items() if name not in frozen}
    torch.save(dict(meta=meta, state_dict=kept), tmp_path / 'part.pth')
    with pytest.raises(FileNotFoundError, match='gone/best.pth does not exist'):
        init_model(tmp_path / 'part.pth')


def test_what_cannot_be_opened_says_what_to_do(cfg, tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'foreign.pth')
    with pytest.raises(ValueError, match='does not carry its config'):
        init_model(tmp_path / 'foreign.pth')
    with pytest.raises(FileNotFoundError, match=r'absent.pth does not exist; give the path of a best.pth'):
        init_model(tmp_path / 'absent.pth')
    with pytest.raises(ValueError, match='comes without weights: train it'):
        init_model(cfg)
    with pytest.raises(ValueError, match=r'is a folder, and no package: .*give the best.pth in it'):
        init_model(tmp_path)
    with pytest.raises(KeyError, match='no model is named'):
        init_model('transunet_smal')


def test_a_plug_in_that_is_not_installed_is_named(cfg, tmp_path):
    plugged = copy.deepcopy(cfg)
    plugged.custom_imports = dict(imports=['no_such_plug_in'])
    path = save(tmp_path / 'plugged.pth', plugged, build_model(cfg))
    with pytest.raises(ImportError, match='no_such_plug_in'):
        init_model(path)
