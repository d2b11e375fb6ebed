"""Late variables are filled in after the options, with their types."""

import pytest

from ultrarefiner.apis.config import load_config

TEXT = """
dataset = 'busi'
fold = 0
data_dir = 'data'
out_dir = 'out'
work_dir = '{out_dir}/{dataset}/fold_{fold}'
train_dataloader = dict(dataset=dict(type='D', root='{data_dir}/{dataset}', fold='{fold}', text='{other}'))
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(TEXT)
    return path


def test_options_reach_every_path(config):
    cfg = load_config(config, dict(fold=3, data_dir='elsewhere'))
    assert cfg.work_dir == 'out/busi/fold_3'
    assert cfg.train_dataloader.dataset.root == 'elsewhere/busi'


def test_a_whole_placeholder_keeps_its_type_and_others_are_left_alone(config):
    dataset = load_config(config).train_dataloader.dataset
    assert dataset.fold == 0 and isinstance(dataset.fold, int)
    assert dataset.text == '{other}'


def test_several_datasets_are_pooled(config):
    cfg = load_config(config, dict(dataset=['busi', 'bus'], work_dir='w'))
    assert cfg.train_dataloader.dataset.type == 'ConcatDataset'
    assert [part.root for part in cfg.train_dataloader.dataset.datasets] == ['data/busi', 'data/bus']


def test_one_name_in_a_list_is_one_dataset(config):
    assert load_config(config, dict(dataset=['bus'])).work_dir == 'out/bus/fold_0'


def test_several_datasets_where_one_is_needed_are_refused(config):
    with pytest.raises(ValueError, match='work_dir .* takes one dataset'):
        load_config(config, dict(dataset=['busi', 'bus']))


def test_a_missing_value_is_named(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("work_dir = '{dataset}/x'")
    with pytest.raises(ValueError, match="work_dir .* needs a value for 'dataset'"):
        load_config(path)


def test_the_fingerprint_depends_on_settings_but_not_on_folders(config):
    base = load_config(config).fingerprint
    assert load_config(config, dict(data_dir='a', out_dir='b')).fingerprint == base
    assert load_config(config, dict(fold=1)).fingerprint != base
    assert load_config(config, {'train_dataloader.batch_size': 3}).fingerprint != base


def test_the_fingerprint_depends_on_a_cache_but_not_on_where_it_lies(tmp_path):
    path = tmp_path / 'cached.py'
    path.write_text(TEXT + "model = dict(embedding_cache=dict(folder='a', max_size_gib=1))\n")
    key = 'model.embedding_cache'
    whole = load_config(path).fingerprint
    assert load_config(path, {f'{key}.folder': 'b', f'{key}.max_size_gib': 2}).fingerprint == whole
    assert load_config(path, {f'{key}.folder': 'b'}).model.embedding_cache.folder == 'b'
    assert load_config(path, {f'{key}.storage': 'float32'}).fingerprint != whole
    assert load_config(path, {key: None}).fingerprint != whole


NAMED = TEXT + "work_dir = '{out_dir}/{coarse_name}/{dataset}'\nmodel = dict(coarse=dict(type='C', name='unet'))"


def test_the_name_of_the_coarse_network_reaches_its_paths_and_not_its_class(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(NAMED)
    cfg = load_config(path)
    assert cfg.work_dir == 'out/unet/busi' and cfg.coarse_name == 'unet'
    assert cfg.model.coarse == dict(type='C')
    assert load_config(path, {'model.coarse.name': 'other'}).work_dir == 'out/other/busi'
    assert load_config(path, {'coarse_name': 'mine'}).work_dir == 'out/mine/busi'


def test_a_coarse_network_without_a_name_does_not_get_that_of_another(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(NAMED)
    with pytest.raises(ValueError, match="work_dir .* needs a value for 'coarse_name'.* give model.coarse a name"):
        load_config(path, {'model.coarse': dict(_delete_=True, type='Mine')})


def test_a_checkpoint_in_the_place_of_a_config_is_told(tmp_path):
    (tmp_path / 'best.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='best.pth is a checkpoint, a config is wanted here'):
        load_config(tmp_path / 'best.pth')
