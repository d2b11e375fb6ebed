"""The metafiles list every config and every package once, and what they say of it is so."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio import dump, load

from ultrarefiner.apis import build_model, find_model, init_model, list_models
from ultrarefiner.apis.config import load_config
from ultrarefiner.utils.project_files import configs_root

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ('_base_', 'ablation', 'pipelines')
LEAVES = sorted(path for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name not in OTHERS)
METAFILES = sorted((ROOT / 'configs').glob('*/metafile.yml'))
PACKAGES = sorted(path.parent for path in (ROOT / 'model_zoo').glob('*/config.py'))
MERGED = dict(busi_busbra=['busi', 'busbra'])
SMALL = 'unet_small_1xb8-4e_busi-96x96'


def test_every_config_is_in_the_metafile_of_its_folder_once():
    listed = [(path.parent, entry['Name']) for path in METAFILES for entry in configs_of(path)]
    assert sorted(listed) == [(path.parent, path.stem) for path in LEAVES]


def test_every_package_is_in_a_metafile_once():
    listed = [entry['Name'] for path in METAFILES for entry in load(path)['Models'] if entry not in configs_of(path)]
    assert sorted(listed) == [path.name for path in PACKAGES]


def configs_of(metafile: Path) -> list[dict]:
    """The models of a metafile that are configs of its folder; the others are packages of model_zoo/."""
    return [entry for entry in load(metafile)['Models'] if entry['Config'].startswith('configs/')]


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_metafile_agrees_with_the_configs(path):
    content = load(path)
    (collection,) = content['Collections']
    assert (ROOT / collection['README']) == path.parent / 'README.md'
    assert {entry['In Collection'] for entry in content['Models']} == {collection['Name']}
    for entry in configs_of(path):
        assert entry['Config'] == f'configs/{path.parent.name}/{entry["Name"]}.py'
        cfg = load_config(ROOT / entry['Config'])
        said = entry['Metadata']
        assert said['Phase'] == {'coarse': 1, 'refine': 2, 'joint': 3}[cfg.phase]
        assert said['Epochs'] == cfg.train_cfg.max_epochs
        assert said['Batch Size'] == cfg.train_dataloader.batch_size
        datasets = [cfg.dataset] if isinstance(cfg.dataset, str) else cfg.dataset
        parts = [part for name in datasets for part in MERGED.get(name, [name])]
        assert said['Training Data'].split(', ') == [name.upper() for name in parts]
        assert said.get('Pretrained') == published_weights(cfg)
        assert 'Weights' not in entry or (ROOT / entry['Weights']).is_file()


@pytest.mark.parametrize('folder', PACKAGES, ids=lambda folder: folder.name)
def test_metafile_agrees_with_the_package(folder):
    info = find_model(folder.name)
    assert (info.config, info.weights) == (folder / 'config.py', folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    assert {'README.md', 'meta.json', 'model.safetensors'} <= {path.name for path in folder.iterdir()}
    model = init_model(folder.name, device='cpu')
    said, made = info.metadata, model.provenance
    assert said['Phase'] == {'coarse': 1, 'refine': 2, 'joint': 3}[made['phase']]
    assert set(said['Training Data'].split(', ')) <= set(made['splits'])
    assert said['Parameters (M)'] == round(sum(weight.numel() for weight in model.parameters()) / 1e6, 2)
    assert 'not a medical device' in (card := (folder / 'README.md').read_text()) and 'state it here' not in card
    for result in info.results:
        assert all(f'{value:.4f}' in card or str(value) in card for value in result['Metrics'].values())


def published_weights(cfg: Config) -> str | None:
    """The file of published weights that a training starts from."""
    if 'init_from' in cfg.model:
        return None
    if cfg.phase == 'refine':
        return cfg.model.refiner.get('checkpoint')
    return (cfg.model.coarse.backbone.get('init_cfg') or {}).get('checkpoint')


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_readme_lists_every_config_once(path):
    cells = re.findall(r'^\| \[`([\w-]+)`\]\(([\w-]+)\.py\) \|', (path.parent / 'README.md').read_text(), re.MULTILINE)
    assert [name for name, _ in cells] == [target for _, target in cells]
    assert sorted(name for name, _ in cells) == sorted(entry['Name'] for entry in configs_of(path))


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_readme_gives_the_results_of_the_metafile(path):
    text = (path.parent / 'README.md').read_text()
    results = [result for entry in configs_of(path) for result in entry.get('Results', ())]
    assert results or 'No results yet' in text
    for result in results:
        for value in result['Metrics'].values():
            assert f'{value:.4f}' in text or str(value) in text


def test_names_are_listed_sorted_and_by_pattern():
    assert list_models() == sorted([*(path.stem for path in LEAVES), *(path.name for path in PACKAGES)])
    assert list_models('*deeplab*') == ['deeplabv3plus_small_1xb8-4e_busi-96x96']
    assert list_models('busi') == []


def test_a_model_is_found_with_its_config():
    info = find_model(SMALL)
    assert (info.collection, info.config) == ('UNet', ROOT / 'configs' / 'unet' / f'{SMALL}.py')
    assert info.metadata['Phase'] == 1 and info.readme == info.config.parent / 'README.md'


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match=rf'did you mean .*{SMALL}.*list_models'):
        find_model('unet_small')


def test_weights_need_a_metafile_entry_only(tmp_path, monkeypatch):
    """A path that is relative lies beside the folder of the configs."""
    folder = tmp_path / 'configs' / 'unet'
    folder.mkdir(parents=True)
    content = load(ROOT / 'configs' / 'unet' / 'metafile.yml')
    next(entry for entry in content['Models'] if entry['Name'] == SMALL)['Weights'] = f'model_zoo/{SMALL}.pth'
    dump(content, folder / 'metafile.yml')
    monkeypatch.setattr('ultrarefiner.apis.model_zoo.configs_root', lambda: tmp_path / 'configs')
    assert find_model(SMALL).weights == tmp_path / 'model_zoo' / f'{SMALL}.pth'


def test_configs_are_those_of_the_checkout():
    assert configs_root() == ROOT / 'configs'


def test_another_project_inherits_a_config(tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = 'ultrarefiner::unet/{SMALL}.py'\nmodel = dict(coarse=dict(backbone=dict(base_channels=8)))\n"
    )
    mine, shipped = load_config(tmp_path / 'mine.py'), load_config(find_model(SMALL).config)
    shipped.model.coarse.backbone.base_channels = 8
    shapes = [[parameter.shape for parameter in build_model(cfg).parameters()] for cfg in (mine, shipped)]
    assert shapes[0] == shapes[1]
