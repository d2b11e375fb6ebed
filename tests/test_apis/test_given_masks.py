"""Masks of another program: trained on and tested with the tools, from a folder of PNG files."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from run_tool import run_tool
from scipy import ndimage

from ultrarefiner.evaluation.overlap import overlap

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
LEAF = 'ultrarefiner_sam-small_soft-prompts_phase2-precomputed-1xb4-3e_busi-192x192.py'
CONFIG = """
_base_ = {base!r}
dataset = 'tiny'
model = dict(coarse_input=dict(size=(40, 48)), refiner=dict(_delete_=True, **{refiner!r}), refine_size=(32, 32))
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
"""


@pytest.fixture(autouse=True)
def clean(clean_runner):
    """Every tool starts as in a process of its own."""


@pytest.fixture
def folder(tiny_root, small_parts, tmp_path):
    """The config, and the dataset with a mask of every image beside it: the truth, two pixels wider, 0 and 255."""
    shutil.copytree(tiny_root, tmp_path / 'data' / 'tiny')
    given = tmp_path / 'data' / 'tiny' / 'coarse'
    given.mkdir()
    for path in tiny_root.rglob('masks/*.png'):
        wider = ndimage.binary_dilation(np.asarray(Image.open(path)) > 0, iterations=2)
        Image.fromarray((wider * 255).astype(np.uint8)).save(given / path.name)
    base = str(TOOLS.parent / 'configs/ultrarefiner' / LEAF)
    (tmp_path / 'config.py').write_text(CONFIG.format(base=base, refiner=small_parts['refiner']))
    return tmp_path


def late(folder):
    return '--data-dir', folder / 'data', '--out-dir', folder / 'out'


def test_a_refiner_is_trained_on_given_masks_and_tested_on_those_of_the_test_set(folder):
    run_tool('train.py', folder / 'config.py', *late(folder))
    best = folder / 'out/checkpoints/sam_finetuned/fold_0/best.pth'
    run_tool('test.py', folder / 'config.py', best, '--out', folder / 'results', *late(folder))
    rows = pd.read_csv(folder / 'results/per_image.csv')
    assert list(rows.name) == ['t8', 't9']
    for row in rows.itertuples():
        truth, given = (
            np.asarray(Image.open(folder / 'data/tiny' / part / f'{row.name}.png')) > 0
            for part in ('test/masks', 'coarse')
        )
        expected = overlap(given, truth)['Dice']
        assert 0.6 < expected < 0.95
        assert rows.set_index('name').loc[row.name, 'coarse/Dice'] == pytest.approx(expected, abs=1e-6)


def test_label_maps_that_nobody_announced_are_refused_before_training(folder, capfd):
    for path in (folder / 'data/tiny/coarse').glob('*.png'):
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    with pytest.raises(SystemExit):
        run_tool('train.py', folder / 'config.py', *late(folder))
    assert 'no grey value above 1' in (message := capfd.readouterr().err) and 'coarse_label_map' in message


def test_a_missing_mask_of_the_test_set_is_named_before_testing(folder, capfd):
    (folder / 'data/tiny/coarse/t9.png').unlink()
    with pytest.raises(SystemExit):
        run_tool('test.py', folder / 'config.py', folder / 'none.pth', *late(folder))
    assert 'no coarse prediction in' in (message := capfd.readouterr().err) and 't9' in message
