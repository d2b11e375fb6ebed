import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_tool import load_tool

ROOT = Path(__file__).resolve().parents[2]
CONVERTERS = ROOT / 'tools' / 'dataset_converters'


def load(path):
    return load_tool(path)


def make_folders(root, value=255, seed=0):
    rng = np.random.default_rng(seed)
    for number in range(14):
        for folder in ('images', 'masks'):
            (root / folder).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((32, 40), np.uint8)
        mask[4:10, 4 : 10 + number] = value
        coarse = Image.fromarray(rng.integers(0, 256, (17, 17), np.uint8))
        coarse.resize((40, 32)).save(root / 'images' / f'{number}.png')
        Image.fromarray(mask).save(root / 'masks' / f'{number}.png')
    return root


@pytest.mark.parametrize('name', ['busi', 'busbra', 'bus', 'bus_uc', 'bus_uclm'])
def test_converter_ends_with_one_message_and_exit_code_2(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', str(tmp_path), str(tmp_path / '../out')])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CONVERTERS / f'{name}.py'), run_name='__main__')
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message.startswith(f'error: {tmp_path}: expected ') and message.count('\n') == 1


def test_converters_need_neither_torch_nor_mmseg():
    code = (
        'import sys, ultrarefiner.data_preparation.command_line, ultrarefiner.data_preparation.converters, '
        'ultrarefiner.data_preparation.merging, ultrarefiner.data_preparation.phantom, '
        'ultrarefiner.data_preparation.verification\n'
        'print(sorted({"torch", "mmseg", "mmengine", "mmcv"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == '[]'


def test_generic_converter_from_the_command_line(tmp_path, capsys):
    generic = load(CONVERTERS / 'generic.py')
    source = make_folders(tmp_path / 'my data', value=3)
    options = [str(source), str(tmp_path / 'out'), '--folds', '3', '--seed', '7']
    assert generic.main(options) == 2
    assert 'unknown mask values' in capsys.readouterr().err
    assert generic.main([*options, '--mask-values', '3=1', '--name', 'mine']) == 0
    assert 'expected against found' in capsys.readouterr().out
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert (report['dataset'], report['seed'], len(report['folds'])) == ('mine', 7, 3)


@pytest.mark.parametrize(
    'options, message',
    [
        (['--mask-values', 'white'], 'expected VALUE=0 or VALUE=1'),
        (['--mask-values', '255=1', '--mask-threshold', '3'], 'exclude each other'),
        (['--coco', 'a.json', '--masks', 'm'], '--coco has no mask files'),
        (['--mask-threshold', '255'], 'expected 0..254'),
    ],
)
def test_generic_converter_refuses_contradictions(tmp_path, capsys, options, message):
    generic = load(CONVERTERS / 'generic.py')
    assert generic.main([str(make_folders(tmp_path / 'src')), str(tmp_path / 'out'), *options]) == 2
    assert message in capsys.readouterr().err


def test_verify_tool_has_exit_code_1_and_a_table_if_anything_is_wrong(tmp_path, capsys):
    generic, tool = load(CONVERTERS / 'generic.py'), load(ROOT / 'tools' / 'misc' / 'verify_dataset.py')
    generic.main([str(make_folders(tmp_path / 'src')), str(tmp_path / 'out')])
    capsys.readouterr()
    assert tool.main([str(tmp_path / 'out')]) == 0
    assert 'nothing wrong' in capsys.readouterr().out
    mask = next((tmp_path / 'out' / 'train' / 'masks').iterdir())
    mask.unlink()
    assert tool.main([str(tmp_path / 'out')]) == 1
    out = capsys.readouterr().out
    assert 'absent' in out and '1 fault' in out


def test_merge_tool_writes_one_dataset_or_one_message(tmp_path, capsys):
    generic, merge = load(CONVERTERS / 'generic.py'), load(CONVERTERS / 'merge.py')
    sources = [str(tmp_path / name) for name in ('one', 'other')]
    for source, seed in zip(sources, '12'):
        make_folders(tmp_path / 'src' / seed, seed=int(seed))
        generic.main([str(tmp_path / 'src' / seed), source, '--folds', '3', '--name', f'MINE{seed}'])
    capsys.readouterr()
    assert merge.main([*sources, str(tmp_path / 'both'), '--name', 'BOTH']) == 0
    out = capsys.readouterr().out
    assert 'BOTH: merged from 2' in out and 'near-duplicate pairs across the sources: 0' in out
    assert json.loads((tmp_path / 'both' / 'splits.json').read_text())['dataset'] == 'BOTH'
    for command, message in (
        ([*sources, str(tmp_path / 'both')], 'both: is not empty; choose another folder, or --overwrite an earlier'),
        ([sources[0], str(tmp_path / 'new')], '1 dataset to merge, expected two or more'),
        ([sources[0], str(tmp_path / 'othr'), str(tmp_path / 'new')], 'othr does not exist, did you mean'),
    ):
        with pytest.raises(SystemExit) as ended:
            merge.main(command)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and message in error and error.count('\n') == 1


def test_phantom_tool_feeds_the_busi_converter(tmp_path, capsys):
    phantom = load(CONVERTERS / 'phantom.py')
    assert phantom.main([str(tmp_path / 'phantom'), '--images', '16', '--seed', '5']) == 0
    assert '10 benign, 5 malignant, 1 normal' in capsys.readouterr().out
    assert phantom.main([str(tmp_path / 'phantom')]) == 2
    assert 'not an empty folder' in capsys.readouterr().err
