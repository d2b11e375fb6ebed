import json
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from ultrarefiner.apis.report.result_pictures import DataFolder, ResultPictures, find_data
from ultrarefiner.data_preparation.splits import Splits

CLASSES = ['benign', 'malignant']


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def data(tmp_path):
    splits = Splits('d', 'grouped', 0, ['a', 'b'], ['t'], [['a'], ['b']], {name: name for name in 'abt'})
    root = tmp_path / 'data' / 'folder'
    root.mkdir(parents=True)
    splits.save(root / 'splits.json')
    return DataFolder(root, splits, {0: 0, 1: 1, 2: 2, 9: 255})


@pytest.fixture
def results(tmp_path, data):
    """One image: the truth has both classes and pixels that are not counted, the refined mask only the second class."""
    truth, refined = np.zeros((20, 30)), np.zeros((20, 30))
    truth[2:8, 2:8], truth[2:8, 20:28], truth[15:, :] = 1, 2, 9
    refined[2:8, 18:28] = 2
    save(data.path / 'test' / 'masks' / 't.png', truth)
    save(data.path / 'test' / 'images' / 't.png', truth * 20)
    save(tmp_path / 'out' / 'masks' / 'd' / 't.png', refined)
    slots = [dict(valid=False, box=[0, 0, 1, 1]), dict(valid=True, box=[0.5, 0, 1, 1])]
    (tmp_path / 'out' / 'prompts' / 'd').mkdir(parents=True)
    (tmp_path / 'out' / 'prompts' / 'd' / 't.json').write_text(json.dumps(dict(frame='normalised', slots=slots)))
    return ResultPictures(tmp_path / 'out', {'d': data}, CLASSES, two_stages=True)


def test_each_class_has_its_own_outlines(results):
    layers, size = results.layers('d', 't')
    assert size == (30, 20) and set(layers) == set(CLASSES)
    assert layers['benign']['refined'] == '' and layers['malignant']['refined'] != ''
    assert layers['benign']['truth'] != layers['malignant']['truth'] != ''
    assert layers['benign']['ignored'] == layers['malignant']['ignored'] != ''
    assert 'coarse' not in layers['benign'], 'there is no folder of coarse masks'


def test_prompts_are_those_of_the_slots(results):
    assert [slot['valid'] for slot in results.prompts('d', 't')] == [False, True]
    assert results.prompts('d', 't')[1]['box'] == [0.5, 0, 1, 1]
    assert results.prompts('d', 'a') is None


def test_what_is_not_there_or_damaged_is_none(results, data):
    assert results.image('d', 'a') is None and results.image('other', 't') is None
    (data.path / 'test' / 'images' / 't.png').write_bytes(b'no picture')
    (results.folder / 'prompts' / 'd' / 't.json').write_text('{"frame": "normalised", "slots": [{}]}')
    assert results.image('d', 't') is None and results.prompts('d', 't') is None


def test_a_name_does_not_lead_out_of_its_folder(results, tmp_path):
    save(tmp_path / 'data' / 'secret.png', np.ones((4, 4)))
    for name in ('../../../secret', str(tmp_path / 'data' / 'secret')):
        assert results.image('d', name) is None
    shutil.copy(tmp_path / 'data' / 'secret.png', tmp_path / 'out' / 'masks' / 'd')
    assert 'refined' in results.masks('d', 'secret')[0]
    for dataset in ('../../data', '..', str(tmp_path / 'data')):
        assert results.masks(dataset, 'secret') == ({}, None)


def test_data_is_found_where_the_config_says_or_where_it_lies_now(data):
    def config(root):
        return Config(dict(test_dataloader=dict(dataset=dict(type='ConvertedDataset', data_root=str(root)))))

    both = Config(dict(test_dataloader=dict(dataset=dict(datasets=[dict(data_root=str(data.path))]))))
    moved = config('elsewhere/folder')
    assert set(find_data(config(data.path), None)[0]) == set(find_data(both, None)[0]) == {'d'}
    assert set(find_data(moved, data.path.parent)[0]) == set(find_data(moved, data.path)[0]) == {'d'}
    found, absent = find_data(moved, None)
    assert not found and '--data-dir' in absent[0]
    assert 'no converted dataset' in find_data(None, None)[1][0]
