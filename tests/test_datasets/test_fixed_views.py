"""FixedViews: a fixed number of versions, the same in every run; all maps move together; other generators unmoved."""

import random

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from ultrarefiner.registry import TRANSFORMS

AUGMENTATION = [
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomRotate', prob=1.0, degree=20, pad_val=0, seg_pad_val=0),
]


def make(views=4, seed=0):
    init_default_scope('ultrarefiner')
    return TRANSFORMS.build(dict(type='FixedViews', views=views, seed=seed, transforms=AUGMENTATION))


def sample(name='a'):
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 20:38] = 1
    return dict(
        img=np.repeat(mask[..., None] * 255, 3, axis=-1),
        img_path=f'{name}.png',
        img_shape=mask.shape,
        gt_seg_map=mask,
        coarse_probability=mask.astype(np.float32),
        seg_fields=['gt_seg_map', 'coarse_probability'],
    )


def at(transform, epoch, name='a'):
    transform.set_epoch(epoch)
    return transform(sample(name))


def test_each_cycle_shows_every_version_once_and_the_same_in_every_run():
    first, again = make(), make()
    for cycle in range(3):
        epochs = range(4 * cycle, 4 * cycle + 4)
        shown = [at(first, epoch) for epoch in epochs]
        assert sorted(x['view'] for x in shown) == [0, 1, 2, 3]
        assert len({x['img'].tobytes() for x in shown}) == 4
        for epoch, x in zip(epochs, shown):
            np.testing.assert_array_equal(x['img'], at(again, epoch)['img'])
    assert len({at(first, epoch)['img'].tobytes() for epoch in range(40)}) == 4


def test_names_and_seeds_differ():
    images = [at(make(seed=seed, views=1), 0, name)['img'].tobytes() for seed in (0, 1) for name in 'ab']
    assert len(set(images)) == 4


def test_masks_move_with_the_image():
    transform = make()
    for epoch in range(4):
        moved = at(transform, epoch)
        assert ((moved['img'][..., 0] > 127) == moved['gt_seg_map']).mean() > 0.97
        assert ((moved['coarse_probability'] > 0.5) == moved['gt_seg_map']).mean() > 0.97


def test_other_generators_go_on_as_if_nothing_was():
    draws = []
    for used in (False, True):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        if used:
            at(make(), 0)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]


def test_an_unknown_epoch_and_no_views_are_refused():
    with pytest.raises(ValueError, match='DatasetEpochHook'):
        make()(sample())
    with pytest.raises(ValueError, match='at least 1'):
        make(views=0)
