"""The confusion tool, on masks made here against the ground truth of the tiny dataset."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from run_tool import load_tool


@pytest.fixture(scope='module')
def tool():
    return load_tool('analysis_tools/confusion.py')


@pytest.fixture
def results(tiny_root, tmp_path):
    """Of t8 the coarse mask is empty and the refined one right; of t9 the coarse one is right, the refined one full."""
    folder = tmp_path / 'test'
    for name in ('t8', 't9'):
        truth = np.asarray(Image.open(tiny_root / 'test' / 'masks' / f'{name}.png'))
        empty, full = np.zeros_like(truth), np.full_like(truth, 255)
        for kind, mask in zip(('coarse', 'masks'), (empty, truth) if name == 't8' else (truth, full)):
            (folder / kind / 'tiny').mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / kind / 'tiny' / f'{name}.png')
    pd.DataFrame({'name': ['t8', 't9'], 'dataset': 'tiny', 'class': 'lesion'}).to_csv(
        folder / 'per_image.csv', index=False
    )
    return folder


def areas(tiny_root):
    masks = [np.asarray(Image.open(tiny_root / 'test' / 'masks' / f'{name}.png')) for name in ('t8', 't9')]
    return [int((mask > 0).sum()) for mask in masks]


def test_pixels_are_counted_by_stage_and_image(tool, results, tiny_root, tmp_path, capsys):
    outputs = {name: tmp_path / f'out.{name}' for name in ('csv', 'json')}
    arguments = [str(results), '--data-root', str(tiny_root), '--out', str(tmp_path / 'out.png')]
    tool.main([*arguments, '--csv', str(outputs['csv']), '--json', str(outputs['json'])])
    first, second = areas(tiny_root)
    pixels = 40 * 48
    written = json.loads(outputs['json'].read_text())
    assert written['matrices']['coarse'] == [[2 * pixels - first - second, 0], [first, second]]
    assert written['matrices']['refined'] == [[pixels - first, pixels - second], [0, first + second]]
    changes = dict(repaired=first, spoiled=pixels - second, still_wrong=0, still_right=pixels - first + second)
    assert written['changes'] == changes and written['images'] == 2
    rows = pd.read_csv(outputs['csv']).set_index('name')
    assert rows.loc['t8', ['found/coarse', 'missed/coarse', 'found/refined', 'false/refined']].tolist() == [0, 1, 1, 0]
    assert rows.loc['t9', 'false/refined'] == pytest.approx(1 - second / pixels)
    out = capsys.readouterr().out
    assert f'{first - (pixels - second):+,}' in out and 'as lesion' in out
    assert Image.open(tmp_path / 'out.png').width > 800


def test_phase_1_has_one_stage(tool, results, tiny_root, capsys):
    for path in (results / 'coarse' / 'tiny').iterdir():
        path.unlink()
    (results / 'coarse' / 'tiny').rmdir()
    (results / 'coarse').rmdir()
    tool.main([str(results), '--data-root', str(tiny_root)])
    out = capsys.readouterr().out
    assert 'coarse: pixels of 2 images' in out and 'repaired' not in out


@pytest.mark.parametrize(
    'spoil, message',
    [
        (lambda folder: (folder / 'per_image.csv').unlink(), 'tools/test.py --out writes it'),
        (lambda folder: (folder / 'masks' / 'tiny' / 't9.png').unlink(), 't9.png does not exist; test again'),
        (lambda folder: Image.new('L', (8, 8)).save(folder / 'masks' / 'tiny' / 't9.png'), 'refined mask of tiny t9'),
        (lambda folder: Image.new('L', (48, 40), 7).save(folder / 'masks' / 'tiny' / 't9.png'), 'does not list'),
    ],
)
def test_what_does_not_belong_together_is_one_line(tool, results, tiny_root, capsys, spoil, message):
    spoil(results)
    with pytest.raises(SystemExit, match='2'):
        tool.main([str(results), '--data-root', str(tiny_root)])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('pairs', [['255'], ['a=1'], ['0=0=0']])
def test_a_label_map_has_pairs(tool, pairs):
    with pytest.raises(ValueError, match='expected pairs such as 0=0 255=1'):
        tool.parse_label_map(pairs)
