"""The example converts an archive, and no patient is on both sides of a split."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ultrarefiner.data_preparation.splits import Splits

SCRIPT = Path(__file__).parent / 'sonar_converter.py'


def test_it_converts(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('scans', 'lesions'):
        (tmp_path / 'archive' / folder).mkdir(parents=True)
    for patient in range(12):
        for view in 'ab':
            name = f'p{patient:02d}-{view}.png'
            mask = np.zeros((48, 56), np.uint8)
            mask[10 + patient : 24 + patient, 12:30] = 255
            Image.fromarray(rng.integers(0, 256, (48, 56), dtype=np.uint8)).save(tmp_path / 'archive/scans' / name)
            Image.fromarray(mask).save(tmp_path / 'archive/lesions' / name)
    command = [sys.executable, str(SCRIPT), str(tmp_path / 'archive'), str(tmp_path / 'sonar'), '--folds', '3']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    splits = Splits.load(tmp_path / 'sonar' / 'splits.json')
    assert len(splits.train) + len(splits.test) == 24
    patients = [{name.split('-')[0] for name in part} for part in (splits.test, *splits.folds)]
    assert sum(map(len, patients)) == 12  # none is counted twice
