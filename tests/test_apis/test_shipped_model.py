"""A model that comes with the project is a package with a name, which everything takes where it takes a checkpoint."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from export_makers import open_trained, save_trained, trained_cfg
from mmengine.fileio import dump, load
from PIL import Image
from rich.console import Console
from run_tool import load_tool, run_tool
from safetensors.torch import load_file

from ultrarefiner.apis import UltraRefinerInferencer, find_model, init_model, list_models
from ultrarefiner.apis.model_package import write_package

ROOT = Path(__file__).resolve().parents[2]
NAME = 'small-lesion'
FAST = ('--cfg-options', 'test_dataloader.num_workers=0', 'env_cfg.float32_matmul=highest')


@pytest.fixture(scope='module')
def checkpoint(small_parts, tmp_path_factory):
    return save_trained(tmp_path_factory.mktemp('trained') / 'best.pth', trained_cfg(small_parts))


@pytest.fixture(scope='module')
def root(checkpoint, tmp_path_factory):
    """A project with a half-precision package, and its metafile entry."""
    root = tmp_path_factory.mktemp('project')
    content = load(ROOT / 'configs' / 'unet' / 'metafile.yml')
    folder = f'model_zoo/{NAME}'
    entry = {'Name': NAME, 'In Collection': 'UNet', 'Config': f'{folder}/config.py', 'Weights': folder}
    content['Models'].append(entry)
    (root / 'configs' / 'unet').mkdir(parents=True)
    dump(content, root / 'configs' / 'unet' / 'metafile.yml')
    run_tool('export.py', checkpoint, '--format', 'package', '--half', '--out', root / folder)
    return root


@pytest.fixture(autouse=True)
def shipped(root, monkeypatch, tmp_path, clean_runner):
    """Its names are those of the project, in a process whose folder is another one."""
    monkeypatch.setattr('ultrarefiner.apis.model_zoo.configs_root', lambda: root / 'configs')
    monkeypatch.chdir(tmp_path)


def test_half_the_size_and_the_same_masks(checkpoint, root, tiny_root):
    stored = load_file(root / 'model_zoo' / NAME / 'model.safetensors')
    whole, half = open_trained(checkpoint), open_trained(NAME)
    for name, value in half.state_dict().items():
        expected = whole.state_dict()[name]
        assert value.dtype == expected.dtype and stored[name].dtype != torch.float32
        assert torch.equal(value, expected.half().float() if expected.is_floating_point() else expected)
    full_size = sum(value.numel() * value.element_size() for value in whole.state_dict().values())
    size = sum(value.numel() * value.element_size() for value in stored.values())
    assert 0.5 <= size / full_size < 0.51
    images = sorted((tiny_root / 'train' / 'images').glob('*.png'))
    one, other = (UltraRefinerInferencer(model)(images) for model in (whole, NAME))
    same = np.mean([a.mask == b.mask for a, b in zip(one, other)])
    assert same > 0.999 and 0.01 < np.mean([a.mask for a in one]) < 0.99


def test_a_weight_that_float16_cannot_hold_is_named(checkpoint, tmp_path):
    model = open_trained(checkpoint)
    with torch.no_grad():
        model.coarse.decode_head.conv_seg.bias[0] = 1e6
    with pytest.raises(ValueError, match=r'conv_seg.bias has values up to 1e\+06, .* leave --half out'):
        write_package(model, tmp_path / 'package', '', dtype=torch.float16)
    assert not (tmp_path / 'package').exists()


def test_the_name_is_listed_and_found(root):
    assert NAME in list_models()
    info = find_model(NAME)
    assert info.weights == info.config.parent == root / 'model_zoo' / NAME
    with pytest.raises(KeyError, match=f'did you mean {NAME}'):
        init_model('small-lesions')
    with pytest.raises(ValueError, match='has weights of its own'):
        init_model(NAME, 'best.pth')


def test_images_are_segmented_by_name(tiny_root, tmp_path):
    images = tiny_root / 'test' / 'images'
    run_tool('predict.py', NAME, images, '--out', 'out')
    for prediction in UltraRefinerInferencer(NAME)(images):
        assert np.array_equal(np.asarray(Image.open(f'out/masks/{prediction.name}.png')) > 0, prediction.mask > 0)


def test_its_test_is_recomputed_by_name(tiny_root, tmp_path):
    run_tool('test.py', NAME, '--dataset', 'tiny', '--data-dir', tiny_root.parent, '--out', 'out', *FAST)
    rows = pd.read_csv('out/per_image.csv').set_index('name')
    for prediction in UltraRefinerInferencer(NAME)(tiny_root / 'test' / 'images'):
        assert rows.loc[prediction.name, 'area/refined'] == (prediction.mask > 0).sum()
    assert list(rows.index) == ['t8', 't9']


def test_it_is_exported_by_name(root):
    run_tool('export.py', NAME, '--format', 'package', '--half', '--out', f'again/{NAME}')
    for file in ('model.safetensors', 'config.py', 'meta.json'):
        assert Path('again', NAME, file).read_bytes() == (root / 'model_zoo' / NAME / file).read_bytes()
    assert f"UltraRefinerInferencer('{NAME}')" in Path('again', NAME, 'README.md').read_text()


def test_the_demo_shows_it_beside_the_trained_model(checkpoint, tiny_root, monkeypatch, tmp_path, capsys):
    demo = load_tool('demo/all_phases.py')
    monkeypatch.setattr(demo, 'SHIPPED', NAME)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'busi').symlink_to(tiny_root)
    demo.show_beside(checkpoint, tmp_path, 'images', Console(width=200))
    assert 'trained on BUSI, not on tiny' in (said := capsys.readouterr().out)
    assert re.search(r'2 test images', said) and said.count(NAME) == 3 and (tmp_path / 'beside_shipped.png').is_file()
    demo.show_beside(checkpoint, tmp_path, 'phantoms', Console(width=200))
    assert 'trained on BUSI and never saw a phantom' in capsys.readouterr().out
