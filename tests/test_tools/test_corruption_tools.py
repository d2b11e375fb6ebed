import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_tool import load_tool

from ultrarefiner.corruption import Preset, corrupt, corruption_rng, load_preset
from ultrarefiner.data_preparation.splits import Splits

ROOT = Path(__file__).resolve().parents[2]
SHOWN = Preset({'under_segmentation': 1}, {'under_segmentation': [0, 0, 0, 1]}, soft=1, temperature=(0.1, 0.1))


def load(name):
    path = ROOT / 'tools' / 'analysis_tools' / f'{name}.py'
    return load_tool(path)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """20 training images with a lesion each, and predictions in two folds that are all too small."""
    root = tmp_path_factory.mktemp('corruption')
    data, folder = root / 'data' / 'busi', root / 'predictions' / 'busi' / 'predictions'
    folder.mkdir(parents=True)
    names = [f'n{index:02d}' for index in range(22)]
    train, test = names[:20], names[20:]
    for index, name in enumerate(names):
        y, x = np.mgrid[:48, :56] - np.array([20 + index % 6, 25 + index % 5])[:, None, None]
        truth = np.hypot(y / (8 + index % 5), x / (11 + index % 4)) <= 1
        side = data / ('train' if name in train else 'test')
        for kind, array in (('images', 90 + 60 * truth), ('masks', 255 * truth)):
            (side / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(side / kind / f'{name}.png')
        if name in train:
            np.save(folder / f'{name}.npy', corrupt(truth, SHOWN, corruption_rng(0, name)).probability)
    splits = Splits('busi', 'grouped', 0, train, test, [train[::2], train[1::2]], {name: name for name in names})
    splits.save(data / 'splits.json')
    entries = {
        name: dict(fold=fold, sha256=hashlib.sha256((folder / f'{name}.npy').read_bytes()).hexdigest())
        for fold, held_out in enumerate(splits.folds)
        for name in held_out
    }
    (folder.parent / 'proof.json').write_text(json.dumps(dict(split_sha256=splits.digest, entries=entries)))
    return root


def test_fit_tool_writes_a_preset_that_comes_closer_than_the_default(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '150')
    tool, out = load('fit_corruption'), tmp_path / 'preset.json'
    predictions, data = dataset / 'predictions' / 'busi' / 'predictions', dataset / 'data' / 'busi'
    monkeypatch.setattr(tool, 'FEWEST_SIMULATED', 60)
    tool.main([str(predictions), str(data), '--out', str(out), '--samples', '6', '--fold', '0'])
    printed = capsys.readouterr().out
    assert '10 predictions with a lesion' in printed
    preset = load_preset(str(out))
    assert max(preset.probabilities, key=preset.probabilities.get) == 'under_segmentation'
    row = next(line for line in printed.splitlines() if ' dice ' in line)
    _, real, default, fitted, *distances = [
        float(x) if x.strip()[:1].isdigit() else x for x in row.strip('│').split('│')
    ]
    assert abs(fitted - real) < abs(default - real)
    before, after, before_ks, after_ks = distances
    assert after < 0.6 * before and after_ks < before_ks
    with pytest.raises(SystemExit) as ended:
        tool.main([str(predictions), str(data), '--out', str(out)])
    assert ended.value.code == 2 and 'exists already; --overwrite' in capsys.readouterr().err


def test_fit_tool_wants_the_proof_of_the_predictions(dataset, tmp_path, capsys):
    foreign = tmp_path / 'masks'
    foreign.mkdir()
    for path in (dataset / 'predictions' / 'busi' / 'predictions').iterdir():
        (foreign / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SystemExit) as ended:
        load('fit_corruption').main([str(foreign), str(dataset / 'data' / 'busi'), '--out', str(tmp_path / 'p.json')])
    assert ended.value.code == 2 and 'no proof' in capsys.readouterr().err
    assert not (tmp_path / 'p.json').exists()


def browse(dataset, out, config, *options):
    arguments = ['--data-dir', str(dataset / 'data'), '--out-dir', str(dataset), '--fold', '0', '--out', str(out)]
    (path,) = (ROOT / 'configs').glob(config)
    load('browse_dataset').main([str(path), *arguments, *options])
    return sorted(out.rglob('*.png'))


CORRUPTED = 'ultrarefiner/ultrarefiner_sam-small_*_phase2-corrupted-*.py'


def test_browse_tool_draws_all_panels_of_the_corrupted_phase_2(dataset, tmp_path, capsys):
    pictures = browse(dataset, tmp_path / 'out', CORRUPTED, '--number', '4')
    assert len(pictures) == 4 and {path.parent.name for path in pictures} == {'busi'}
    assert '4 pictures of 10 images' in capsys.readouterr().out
    # Image, ground truth, coarse mask and prompts: four panels of 384 x 448, and three gaps of 6.
    assert Image.open(pictures[0]).size[0] == 4 * 448 + 3 * 6
    # Other epochs show other corrupted masks, the same epoch the same.
    again = browse(dataset, tmp_path / 'again', CORRUPTED, '--number', '4')
    later = browse(dataset, tmp_path / 'later', CORRUPTED, '--number', '4', '--epoch', '1')
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in pictures]
    assert [path.read_bytes() for path in later] != [path.read_bytes() for path in pictures]


def test_browse_tool_shows_the_validation_without_a_coarse_mask_in_phase_1(dataset, tmp_path):
    pictures = browse(dataset, tmp_path / 'out', 'transunet/transunet_small_1xb8-4e_*.py', '--subset', 'val')
    assert [path.stem for path in pictures] == [f'n{index:02d}' for index in range(0, 20, 2)]
    assert Image.open(pictures[0]).size[0] == 2 * 448 + 6


def test_browse_tool_leaves_other_files_alone(dataset, tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(SystemExit):
        browse(dataset, tmp_path, CORRUPTED)
    assert 'is not an empty folder' in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1


def test_corruption_table_reads_the_same_at_two_sizes(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: False)
    assert load('corruption_table').main(['--sizes', '128', '256', '--draws', '1']) == 0
    rows = [line.split('│')[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith('│')]
    table = {row[0].strip(): [float(value) for value in row[1:]] for row in rows}
    assert len(table) == 12
    for small_area, large_area, small_dice, large_dice, *_ in table.values():
        assert small_area == pytest.approx(large_area, abs=0.05) and small_dice == pytest.approx(large_dice, abs=0.02)
    ratios = [table[name][0] for name in ('under_segmentation', 'over_segmentation', 'giant_over_segmentation')]
    assert ratios[0] < 0.7 < 1.5 < ratios[1] < 3 < 5 < ratios[2]
    assert table['internal_holes'][-1] >= 1 and table['fragmentation'][-3] > 3
