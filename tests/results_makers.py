"""Finished runs with per-image results that are known, for the tests of the results page."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
from mmengine.config import Config
from PIL import Image

from ultrarefiner.data_preparation.splits import Splits

IMAGES = ('a1', 'a2', 'b1', 'c1')
GROUPS = dict(a1='a', a2='a', b1='b', c1='c', t1='t', t2='u')


def make_dataset(data_dir, name='tiny', protocol='grouped', groups=GROUPS, tests=IMAGES):
    """A converted dataset without images: four test images in three groups, two that train."""
    splits = Splits(name.upper(), protocol, 0, ['t1', 't2'], list(tests), [['t1'], ['t2']], groups)
    (data_dir / name).mkdir(parents=True)
    splits.save(data_dir / name / 'splits.json')
    return splits


def make_run(runs, data_dir, splits, kind, seed, tests, training_set='tiny', finished=True, config=None):
    """What tools/train.py leaves in a work directory, and tools/test.py in tests/ of it.

    Args:
        tests (dict): Of each test the Dice by image, one value, or coarse and refined.
    """
    path = Path(runs) / training_set / 'checkpoints' / kind / f'fold_{seed}'
    start = path / '20240102_030405' / 'vis_data'
    start.mkdir(parents=True)
    cfg = Config(
        dict(
            dataset=training_set,
            data_dir=str(data_dir),
            out_dir=str(Path(runs) / training_set),
            load_from=str(path / 'best.pth'),
            fold=seed,
            randomness=dict(seed=seed),
        )
    )
    (path / f'{config or kind}_small.py').write_text(cfg.pretty_text)
    (start / 'config.py').write_text(cfg.pretty_text)
    lines = []
    for epoch in (1, 2):
        lines += [dict(loss=1 / epoch + end, epoch=epoch, iter=epoch * 10 + end, step=1) for end in (0, 1)]
        lines.append({'coarse/Dice': 0.5 + epoch / 10 + seed / 100, 'step': epoch})
    (start / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    cost = dict(parameters=2_500_000, trainable=1_000, seconds=120.0, seconds_per_iteration=0.5, peak_memory=2**30)
    record = dict(fingerprint='f', splits={splits.dataset: splits.digest}, finished=finished, cost=cost)
    (path / 'training.json').write_text(json.dumps(record))
    for name, dice in tests.items():
        make_test(path / 'tests' / name, splits, dice)
    return path


def make_test(folder, splits, dice):
    """The files of a test; IoU follows from Dice, HD95 is 100 times what Dice lacks."""
    folder.mkdir(parents=True)
    rows = pd.DataFrame([_row(splits.dataset, name, values) for name, values in dice.items()])
    rows.to_csv(folder / 'per_image.csv', index=False)
    summary = dict(dataset=splits.dataset, split_sha256=splits.digest, subset='test', images=len(rows))
    (folder / 'per_image.json').write_text(json.dumps(dict(summary, checkpoint=f'{folder}/best.pth')))


def make_masks(folder, data_root, dataset, name, truth, coarse, refined):
    """The masks of one image."""
    places = (data_root / 'test' / 'masks', folder / 'coarse' / dataset, folder / 'masks' / dataset)
    for place, mask in zip(places, (truth, coarse, refined)):
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f'{name}.png')


def change_dice(path, name, value):
    """Change the coarse Dice of one image in a collected file."""
    rows = pd.read_csv(path, dtype=dict(name=str))
    rows.loc[rows['name'] == name, 'coarse/Dice'] = value
    path.write_bytes(gzip.compress(rows.to_csv(index=False).encode(), mtime=0))


def _row(dataset, name, values):
    row = {'name': name, 'dataset': dataset, 'class': 'lesion', 'area/image': 1000, 'area/ground_truth': 50}
    values = (values,) if isinstance(values, float) else values
    for stage, dice in zip(('coarse', 'refined'), values):
        row |= {f'{stage}/Dice': dice, f'{stage}/IoU': dice / (2 - dice), f'{stage}/HD95': 100 * (1 - dice)}
        row |= {f'area/{stage}': 50, f'missed/{stage}': 0, f'invented/{stage}': 0}
    if len(values) > 1:
        for metric in ('Dice', 'IoU', 'HD95'):
            row[f'delta/{metric}'] = row[f'refined/{metric}'] - row[f'coarse/{metric}']
        row['predicted_iou'] = row['refined/IoU'] + 0.1
    return row
