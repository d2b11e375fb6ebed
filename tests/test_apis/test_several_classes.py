"""Two foreground classes through every phase, with the tools themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from run_tool import run_tool

from ultrarefiner.apis.phases import Pipeline
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation.overlap import overlap

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
CONFIGS = TOOLS.parent / 'configs'
BASES = dict(
    coarse='transunet/transunet_small_1xb8-4e_busi-96x96.py',
    refine='ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-1xb4-3e_busi-192x192.py',
    joint='ultrarefiner/ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py',
)
GREY = {0: 0, 1: 128, 2: 255}  # label to the grey value in the mask files
CONFIG = """
_base_ = {base!r}
dataset = 'two'
model = dict({parts})
classes = dict(
    label_map={{0: 0, 128: 1, 255: 2}}, metainfo=dict(classes=('background', 'lesion', 'cyst'))
)
loader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=classes)
train_dataloader = dict(loader, batch_size=2)
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs={epochs}, val_interval={epochs})
optim_wrapper = dict(optimizer=dict(lr=5e-3))
param_scheduler = [dict(type='ConstantLR', factor=1.0)]
default_hooks = dict(checkpoint=dict(interval={epochs}))
"""


def write_dataset(root):
    """Eight images in two folds and two for the test: a dark square of the one class, a bright one of the other."""
    names = [f'i{index}' for index in range(10)]
    rng = np.random.default_rng(0)
    for index, name in enumerate(names):
        labels = np.zeros((40, 48), np.uint8)
        top, left, shift = rng.integers(2, 12, size=3)
        labels[top : top + 22, left : left + 16] = 1
        labels[top + 2 : top + 22, 26 + shift // 2 : 44] = 2
        image = rng.normal(np.array([130, 30, 230])[labels], 5).clip(0, 255).astype(np.uint8)
        folder = root / ('train' if index < 8 else 'test')
        for kind, pixels in (('images', image), ('masks', np.array(list(GREY.values()), np.uint8)[labels])):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / kind / f'{name}.png')
    Splits('two', 'grouped', 0, names[:8], names[8:], [names[0:4], names[4:8]], {name: name for name in names}).save(
        root / 'splits.json'
    )


def write_configs(folder, small_parts):
    coarse = dict(small_parts['coarse'], name='transunet')
    coarse['decode_head'] = dict(coarse['decode_head'], num_classes=3)
    own = dict(
        coarse=f'coarse=dict(_delete_=True, **{coarse!r})',
        refiner=f'refiner=dict(_delete_=True, **{small_parts["refiner"]!r})',
        given='coarse=dict(num_slots=2)',
        rest='coarse_input=dict(size=(32, 32)), refine_size=(32, 32)',
    )
    parts = dict(
        coarse=f'{own["coarse"]}, coarse_input=dict(size=(32, 32))',
        refine=f'{own["given"]}, {own["refiner"]}, {own["rest"]}',
        joint=f'{own["coarse"]}, {own["refiner"]}, {own["rest"]}',
    )
    for phase, base in BASES.items():
        text = CONFIG.format(base=str(CONFIGS / base), parts=parts[phase], epochs=12 if phase == 'coarse' else 1)
        (folder / f'{phase}.py').write_text(text)
    (folder / 'pipeline.py').write_text("phases = dict(coarse='coarse.py', refine='refine.py', joint='joint.py')\n")
    return folder / 'pipeline.py'


@pytest.fixture(scope='module')
def out(small_parts, tmp_path_factory):
    """What the pipeline leaves behind."""
    folder = tmp_path_factory.mktemp('several')
    write_dataset(folder / 'data' / 'two')
    config = write_configs(folder, small_parts)
    for step in Pipeline(str(config), ['two'], [0], str(folder / 'data'), str(folder / 'out')).steps():
        run_tool(*step.command(TOOLS)[1:])
    return folder / 'out'


@pytest.fixture(autouse=True)
def clean(clean_runner):
    """Every tool starts as in a process of its own."""


def truth_of(out, name, folder):
    grey = np.asarray(Image.open(out.parent / 'data' / 'two' / folder / 'masks' / f'{name}.png'))
    return np.select([grey == GREY[1], grey == GREY[2]], [1, 2])


def test_out_of_fold_predictions_have_a_slot_for_each_class(out):
    found = []
    for path in sorted((out / 'predictions/two/predictions').glob('*.npy')):
        probability = np.load(path)
        assert probability.shape == (2, 32, 32) and probability.sum(axis=0).max() <= 1 + 1e-5
        at_size = torch.nn.functional.interpolate(torch.from_numpy(probability)[None], size=(40, 48), mode='bilinear')
        truth = truth_of(out, path.stem, 'train')
        found.append([overlap(at_size[0, k].numpy() > 0.5, truth == k + 1)['Dice'] for k in range(2)])
    assert len(found) == 8
    assert np.mean(found, axis=0).min() > 0.5  # each class in its own slot


def test_masks_of_the_test_set_are_labels_and_the_table_is_made_of_them(out):
    test = out / 'checkpoints/ultrarefiner/two/fold_0/test'
    rows = pd.read_csv(test / 'per_image.csv')
    assert list(zip(rows['name'], rows['class'])) == [
        (name, kind) for name in ('i8', 'i9') for kind in ('lesion', 'cyst')
    ]
    for _, row in rows.iterrows():
        labels = np.asarray(Image.open(test / 'masks' / 'two' / f'{row["name"]}.png'))
        assert set(np.unique(labels)) <= {0, 1, 2}
        label = 1 if row['class'] == 'lesion' else 2
        expected = overlap(labels == label, truth_of(out, row['name'], 'test') == label)
        assert row['refined/Dice'] == pytest.approx(expected['Dice'])
    assert rows['coarse/Dice'].min() > 0.4
    assert np.asarray(Image.open(test / 'pictures' / 'two' / 'i8.png')).ndim == 3


def test_the_joint_phase_began_with_both_earlier_ones(out):
    """Phase 3 reads the three-class head of phase 1 and the refiner of phase 2, whose slots are two."""
    saved = torch.load(out / 'checkpoints/ultrarefiner/two/fold_0/best.pth', weights_only=False)
    assert saved['state_dict']['coarse.decode_head.conv_seg.weight'].shape[0] == 3
