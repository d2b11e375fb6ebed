import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mmengine.registry import init_default_scope
from run_tool import load_tool

from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.models.refiners import GuardedRefiner, IdentityRefiner

ROOT = Path(__file__).resolve().parents[2]
NAMES = [f'n{index:03d}' for index in range(120)]
SPLITS = Splits('busi', 'grouped', 0, NAMES[:100], NAMES[100:], [NAMES[:50], NAMES[50:100]], {n: n for n in NAMES})


def load():
    path = ROOT / 'tools' / 'analysis_tools' / 'calibrate_guard.py'
    return load_tool(path)


def write_results(folder, names, helps=True, **summary):
    """Results whose refined mask loses 0.4 where it agrees with the coarse one by less than 0.45, a third of them."""
    rng = np.random.default_rng(len(names))
    spoilt = np.arange(len(names)) < len(names) // 3
    agreement = np.where(spoilt, rng.uniform(0.1, 0.44, len(names)), rng.uniform(0.46, 1, len(names)))
    coarse = rng.uniform(0.6, 0.9, len(names))
    change = np.where(spoilt, -0.4, 0.02) if helps else np.full(len(names), 0.02)
    rows = pd.DataFrame(
        {
            'name': names,
            'dataset': 'busi',
            'class': 'lesion',
            'area/coarse': 100,
            'coarse/Dice': coarse,
            'area/refined': rng.integers(60, 140, len(names)),
            'refined/Dice': coarse + change,
            'components/refined': 1,
            'change/IoU': agreement,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / 'per_image.csv', index=False)
    summary = dict(dict(dataset='busi', split_sha256=SPLITS.digest, subset='val', fold=0, images=len(names)), **summary)
    (folder / 'per_image.json').write_text(json.dumps(summary))
    return str(folder / 'per_image.csv')


@pytest.fixture
def data_root(tmp_path):
    root = tmp_path / 'data' / 'busi'
    root.mkdir(parents=True)
    SPLITS.save(root / 'splits.json')
    return str(root)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        load().main(list(arguments))
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_two_folds_give_a_guard_that_a_refiner_reads(tmp_path, data_root, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    out = tmp_path / 'new' / 'guard.json'
    files = [write_results(tmp_path / f'val_{k}', NAMES[50 * k : 50 * k + 50], fold=k) for k in range(2)]
    load().main([*files, '--data-root', data_root, '--out', str(out)])
    content = json.loads(out.read_text())
    assert content['calibrated_on'] == [
        dict(dataset='busi', split_sha256=SPLITS.digest, subset='val', fold=k, images=50) for k in range(2)
    ]
    assert content['rules'].keys() == {'agreement'}
    threshold, highest = content['rules']['agreement']
    assert 0.43 < threshold < 0.48 and highest is None
    gain, (low, high) = (content['cross_validated_gain'][key] for key in ('dice', 'interval'))
    assert gain == pytest.approx(0.4 * 0.32, abs=0.01) and low < gain < high
    printed = capsys.readouterr().out
    assert f'{gain:+.4f} (95% interval {low:+.4f} to {high:+.4f})' in printed
    assert '100 masks of 100 images or patients' in printed and 'without a rule: predicted_iou' in printed
    assert 'IoU of the coarse and the refined mask' in printed and ' 32 ' in printed
    init_default_scope('ultrarefiner')
    assert GuardedRefiner(IdentityRefiner(), str(out)).rules.ranges == dict(agreement=(threshold, None))


def test_where_nothing_helps_the_guard_accepts_everything(tmp_path, capsys):
    out = tmp_path / 'guard.json'
    load().main([write_results(tmp_path, NAMES[:60], helps=False), '--out', str(out)])
    content = json.loads(out.read_text())
    assert content['rules'] == {} and content['cross_validated_gain']['dice'] == 0
    printed = capsys.readouterr().out
    assert 'no guard: every refined mask is kept' in printed and 'every image of busi counts as a patient' in printed


def test_an_earlier_guard_is_not_overwritten_unasked(tmp_path, capsys):
    out = tmp_path / 'guard.json'
    out.write_text('mine')
    results = write_results(tmp_path, NAMES[:40])
    assert 'exists already; --overwrite' in refused(capsys, results, '--out', str(out))
    assert out.read_text() == 'mine'
    load().main([results, '--out', str(out), '--overwrite'])
    assert json.loads(out.read_text())['rules']


@pytest.mark.parametrize('subset', ['test', 'train', 'all_train'])
def test_results_of_other_than_validation_images_are_refused(subset, tmp_path, capsys):
    results = write_results(tmp_path, NAMES[:40], subset=subset)
    assert f'of the {subset} images, expected those of validation' in refused(
        capsys, results, '--out', str(tmp_path / 'g')
    )
    assert not (tmp_path / 'g').exists()


def test_a_test_image_among_the_results_is_refused(tmp_path, data_root, capsys):
    results = write_results(tmp_path, NAMES[80:110], subset=None)
    message = refused(capsys, results, '--data-root', data_root, '--out', str(tmp_path / 'g.json'))
    assert 'n100 is a test image of busi' in message


def test_another_split_is_refused(tmp_path, data_root, capsys):
    results = write_results(tmp_path, NAMES[:40], split_sha256='0' * 64)
    message = refused(capsys, results, '--data-root', data_root, '--out', str(tmp_path / 'g.json'))
    assert f'of the split 000000000000, the dataset given has the split {SPLITS.digest[:12]}' in message


def test_missing_files_and_columns_and_doubled_images_are_told(tmp_path, capsys):
    out = ['--out', str(tmp_path / 'g.json')]
    results = write_results(tmp_path / 'a', NAMES[:40])
    assert 'absent.csv does not exist; tools/test.py' in refused(capsys, str(tmp_path / 'absent.csv'), *out)
    assert 'are there twice, the first of busi n000' in refused(capsys, results, results, *out)
    pd.read_csv(results).drop(columns='coarse/Dice').to_csv(results)
    assert "lacks the columns ['coarse/Dice']" in refused(capsys, results, *out)
    (tmp_path / 'a' / 'per_image.json').unlink()
    assert 'per_image.json does not exist' in refused(capsys, results, *out)
    assert '10 images or patients' in refused(capsys, write_results(tmp_path / 'b', NAMES[:10]), *out)
    assert '--level is 2.0' in refused(capsys, results, '--level', '2', *out)
