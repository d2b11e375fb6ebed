"""Work directories for the tests of the report."""

import json
import re

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation import RefinementMetric
from ultrarefiner.structures import Prompts

HOSTILE = '<b>"x".png'
NAMES = ('a1', 'a2', 'a3', 'missed', HOSTILE, 'Läsion & 病変', "'onload=alert(1) <!--<script>")
SIZE = (40, 48)


def _ellipse(x, y=20, radius=8):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((rows - y) / radius) ** 2 + ((columns - x) / (radius + 3)) ** 2 <= 1


def make_data(root, names):
    """A converted dataset whose test images are those of the names."""
    for subset, members in (('test', names), ('train', ('t1', 't2'))):
        for kind in ('images', 'masks'):
            (root / subset / kind).mkdir(parents=True)
        for name in members:
            mask = (_ellipse(24) * 255).astype(np.uint8)
            Image.fromarray(90 + mask // 4).save(root / subset / 'images' / f'{name}.png')
            Image.fromarray(mask).save(root / subset / 'masks' / f'{name}.png')
    groups = {name: name[:1] for name in (*names, 't1', 't2')} | {'t1': 't1', 't2': 't2'}
    Splits('tiny', 'grouped', 0, ['t1', 't2'], names, [['t1'], ['t2']], groups).save(root / 'splits.json')


def make_work_dir(path, data, names=NAMES, fold=0, shift=0, classes=('lesion',), refiner='SAMRefiner', **config):
    """What tools/train.py and tools/test.py leave, by the real metric; the coarse mask is off by 6 pixels."""
    dataset = dict(type='ConvertedDataset', data_root=str(data), subset='test')
    cfg = Config(
        dict(
            dataset='tiny',
            fold=fold,
            phase='joint',
            randomness=dict(seed=7),
            model=dict(
                type='CoarseToFine', refiner=dict(type=refiner), losses=[dict(type='StageDice', stage='refined')]
            ),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
            test_dataloader=dict(batch_size=1, dataset=dataset),
            **config,
        )
    )
    start = path / '20240102_030405' / 'vis_data'
    start.mkdir(parents=True)
    (start / 'config.py').write_text(cfg.pretty_text)
    (path / 'the_config.py').write_text(cfg.pretty_text)
    lines = []
    for epoch in (1, 2, 3):
        lines.append(
            dict(loss=1 / epoch, loss_refined_StageDice=1 / epoch, epoch=epoch, iter=10 * epoch, step=10 * epoch)
        )
        dice = {'coarse/Dice': 0.6, 'refined/Dice': 0.6 + epoch / 100, 'delta/Dice': epoch / 100}
        lines.append(dict(**dice, step=epoch))
    (start / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    cost = dict(parameters=2_500_000, trainable=1_000, seconds=125.0, seconds_per_iteration=0.5, peak_memory=2**30)
    record = dict(fingerprint='f', splits={'tiny': 'abc'}, precision='float32', finished=True, cost=cost)
    (path / 'training.json').write_text(json.dumps(record))
    write_results(path / 'test', data, names, shift, classes)
    return path


def write_results(folder, data, names, shift, classes):
    metric = RefinementMetric(boundary_metrics=('HD95',), csv_path=folder / 'per_image.csv', stage_dir=folder)
    digest = Splits.load(data / 'splits.json').digest
    metric.dataset_meta = dict(classes=('background', *classes), subset='test', split_sha256=digest)
    for index, name in enumerate(names):
        refined = _ellipse(24 + shift + index) * (name != 'missed')
        metric.process({}, [_sample(name, _ellipse(24), _ellipse(30), refined, len(classes))])
    metric.compute_metrics(metric.results)


def _sample(name, truth, coarse, refined, slots):
    fields = dict(gt_sem_seg=truth, coarse_sem_seg=coarse, pred_sem_seg=refined)
    prompts = Prompts(
        points=torch.full((1, slots, 1, 2), 0.5),
        point_labels=torch.ones(1, slots, 1).long(),
        boxes=torch.tensor([0.25, 0.2, 0.75, 0.8]).expand(1, slots, 4),
    )
    made = {key: dict(data=torch.from_numpy(mask[None].astype(np.int64))) for key, mask in fields.items()}
    return dict(made, img_path=f'somewhere/{name}.png', dataset='tiny', quality=[0.7] * slots, prompts=prompts)


def gallery(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
