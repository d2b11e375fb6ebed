"""Fixtures for every test: a tiny converted dataset, and a clean slate after a Runner."""

import logging
import os

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from PIL import Image

from ultrarefiner.data_preparation.splits import Splits

TINY_SIZE = (40, 48)  # height, width

# The workers of pytest-xdist share the cores; with a thread a core in each they wait for one another. The variable is
# for the processes that tests start; a worker has that of the process that started it.
WORKERS = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
THREADS = max(1, (os.cpu_count() or 1) // WORKERS)
if WORKERS == 1:
    THREADS = int(os.environ.get('OMP_NUM_THREADS', THREADS))
torch.set_num_threads(THREADS)
os.environ['OMP_NUM_THREADS'] = str(THREADS)


@pytest.fixture(scope='session')
def tiny_root(tmp_path_factory):
    """A converted dataset named 'tiny': t0 to t7 in two folds (even, odd) and t8, t9 as test; never write into it.

    Images are grey noise 40 high and 48 wide, with one dark ellipse each, which is the mask (0 and 255).
    """
    root = tmp_path_factory.mktemp('data') / 'tiny'
    names = [f't{index}' for index in range(10)]
    train, test = names[:8], names[8:]
    for index, name in enumerate(names):
        folder = root / ('train' if name in train else 'test')
        for kind in ('images', 'masks'):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        image, mask = ellipse_image(seed=index)
        Image.fromarray(image).save(folder / 'images' / f'{name}.png')
        Image.fromarray(mask).save(folder / 'masks' / f'{name}.png')
    folds = [train[0::2], train[1::2]]
    Splits('tiny', 'grouped', 0, train, test, folds, {name: name for name in names}).save(root / 'splits.json')
    return root


def ellipse_image(seed: int):
    """A grey image (40, 48) uint8 with a dark ellipse, and its mask with 0 and 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: TINY_SIZE[0], : TINY_SIZE[1]]
    centre, radii = rng.uniform((15, 17), (25, 31)), rng.uniform(6, 11, size=2)
    inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1
    image = rng.normal(np.where(inside, 60, 150), 15).clip(0, 255).astype(np.uint8)
    return image, (inside * 255).astype(np.uint8)


@pytest.fixture
def clean_runner():
    """Forget mmengine's loggers, visualizers, scopes and message hubs after a test that makes a Runner.

    The matrix product goes back to what the tests of numbers compare with.
    """
    yield
    torch.set_float32_matmul_precision('highest')
    logging.shutdown()
    for kind in (MMLogger, Visualizer, DefaultScope, MessageHub):
        kind._instance_dict.clear()


@pytest.fixture(scope='session')
def small_parts():
    """Config of a `CoarseToFine` of a two-block TransUNet and a two-block SAM; add a prompt generator and losses."""
    return dict(
        type='CoarseToFine',
        coarse=dict(
            type='EncoderDecoder',
            backbone=dict(
                type='TransUNetBackbone',
                img_size=32,
                width=8,
                block_units=(1, 1, 1),
                hidden_size=16,
                num_layers=2,
                num_heads=2,
                mlp_size=32,
                norm_groups=4,
                dropout=0.0,
            ),
            decode_head=dict(
                type='TransUNetHead',
                in_channels=(8, 32, 64, 16),
                stem_channels=16,
                decoder_channels=(16, 8, 8, 8),
                num_classes=2,
            ),
        ),
        coarse_input=dict(size=(32, 32), grey=True, value_range='unit'),
        refiner=dict(
            type='SAMRefiner',
            arch=dict(
                image_size=64,
                patch_size=16,
                embed_dim=16,
                depth=2,
                num_heads=2,
                global_attn_indexes=(1,),
                window_size=2,
                prompt_dim=16,
                decoder_mlp_dim=16,
                decoder_num_heads=2,
                iou_head_hidden_dim=16,
            ),
            encoder='trained',
        ),
        refine_size=(32, 32),
    )
