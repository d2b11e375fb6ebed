from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from ultrarefiner.corruption import dice
from ultrarefiner.datasets.transforms import CorruptMask
from ultrarefiner.engine.hooks import DatasetEpochHook
from ultrarefiner.engine.hooks.dataset_epoch_hook import set_epoch
from ultrarefiner.registry import DATASETS

CORRUPT = dict(type='CorruptMask', preset=dict(probabilities=dict(under_segmentation=1, shift=1)))


def build(root, *steps, coarse_dir=None, pack=True, **options):
    init_default_scope('ultrarefiner')
    return DATASETS.build(
        dict(
            type='ConvertedDataset',
            data_root=str(root),
            subset='all_train',
            coarse_dir=coarse_dir,
            require_proof=False,
            pipeline=[dict(type='LoadImage'), dict(type='LoadMask'), *steps, *[dict(type='PackRefinerInputs')] * pack],
            **options,
        )
    )


@pytest.fixture(scope='module')
def predictions(tmp_path_factory):
    """Predictions of the tiny dataset that cannot be mistaken: 0.25 everywhere."""
    folder = tmp_path_factory.mktemp('predictions')
    for index in range(8):
        np.save(folder / f't{index}.npy', np.full((40, 48), 0.25, np.float32))
    return str(folder)


def results(index=0, name='a', mask=None):
    mask = np.pad(np.ones((12, 12), np.uint8), 10) if mask is None else mask
    return dict(
        gt_seg_map=mask,
        label_map={0: 0, 255: 1},
        img_path=f'{name}.png',
        name=name,
        sample_idx=index,
        seg_fields=['gt_seg_map'],
    )


def test_image_mask_and_corrupted_mask_move_together(tiny_root):
    def samples(*moves):
        dataset = build(tiny_root, CORRUPT, *moves)
        set_epoch(dataset, 0)
        return [dataset[index]['data_samples'] for index in range(8)]

    for still, flipped in zip(samples(), samples(dict(type='RandomFlip', prob=1.0, direction='horizontal'))):
        for field in ('gt_sem_seg', 'coarse_probability'):
            assert torch.equal(flipped.get(field).data, still.get(field).data.flip(-1))
        assert still.coarse_probability.data.shape == (1, 40, 48)
        overlap = dice(still.coarse_probability.data[0].numpy() > 0.5, still.gt_sem_seg.data[0].numpy() > 0)
        assert 0.2 < overlap < 1


@pytest.mark.parametrize('n', [1, 7, 40, 101])
@pytest.mark.parametrize('ratio', [0.1, 0.3, 0.5, 0.7, 0.999])
def test_the_ratio_is_the_ratio_obtained_in_every_epoch(ratio, n):
    transform = CorruptMask(ratio=ratio)
    counts = set()
    for epoch in range(30):
        chosen = [transform._is_chosen(dict(sample_idx=index), epoch) for index in range(n)]
        assert abs(sum(chosen) - n * ratio) < 1
        for start in (0, n // 3):
            assert abs(sum(chosen[start:]) - (n - start) * ratio) < 1
        counts.add(tuple(chosen))
    assert len(counts) > 1 or n * min(ratio, 1 - ratio) < 0.2


def test_over_the_epochs_every_image_is_corrupted_in_its_share():
    transform = CorruptMask(ratio=0.3)
    chosen = np.array([[transform._is_chosen(dict(sample_idx=i), epoch) for i in range(50)] for epoch in range(100)])
    assert np.abs(chosen.mean(0) - 0.3).max() < 0.04


def test_the_others_keep_their_real_prediction(tiny_root, predictions):
    load = dict(type='LoadCoarsePrediction')
    dataset = build(tiny_root, load, dict(CORRUPT, ratio=0.5), coarse_dir=predictions, pack=False)
    for epoch in range(3):
        set_epoch(dataset, epoch)
        items = list(dataset)
        real = [(item['coarse_probability'] == 0.25).all() for item in items]
        assert sum(real) == 4 and [item['corruption'] == 'none' for item in items] == real
        assert all(item['seg_fields'].count('coarse_probability') == 1 for item in items)


def test_nothing_to_keep_is_an_error(tiny_root):
    dataset = build(tiny_root, dict(CORRUPT, ratio=0.5))
    set_epoch(dataset, 0)
    with pytest.raises(ValueError, match=r'real prediction \(ratio=0.5\).*LoadCoarsePrediction'):
        list(dataset)


def loaded(loader):
    return {
        sample.metainfo['name']: sample.coarse_probability.data.numpy()
        for batch in loader
        for sample in batch['data_samples']
    }


@pytest.mark.parametrize('start', ['fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_workers_that_stay_alive_see_every_epoch_and_agree(tiny_root, start):
    dataset = build(tiny_root, dict(CORRUPT, seed=3))
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=2,
        persistent_workers=True,
        shuffle=True,
        collate_fn=pseudo_collate,
        multiprocessing_context=start,
    )
    alone = build(tiny_root, dict(CORRUPT, seed=3))
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop.dataloader = loader
    hook, runner = DatasetEpochHook(), SimpleNamespace(train_loop=loop, epoch=0)
    hook.before_train(runner)
    epochs = []
    for runner.epoch in (0, 1):
        hook.before_train_epoch(runner)
        epochs.append(loaded(loader))
        set_epoch(alone, runner.epoch)
        expected = loaded(DataLoader(alone, batch_size=3, collate_fn=pseudo_collate))
        assert sorted(expected) == sorted(epochs[-1]) and len(expected) == 8
        for name, probability in expected.items():
            np.testing.assert_array_equal(epochs[-1][name], probability)
    assert all((epochs[0][name] != epochs[1][name]).any() for name in epochs[0])


def test_a_forgotten_hook_is_named(tiny_root):
    with pytest.raises(ValueError, match="does not know the epoch: add dict\\(type='DatasetEpochHook'\\)"):
        build(tiny_root, CORRUPT)[0]


def test_the_hook_reaches_wrapped_datasets_and_transforms(tiny_root):
    init_default_scope('ultrarefiner')
    inner = build(tiny_root, dict(type='RandomApply', transforms=[CORRUPT], prob=1.0)).pipeline
    both = SimpleNamespace(datasets=[SimpleNamespace(dataset=SimpleNamespace(pipeline=inner))])
    set_epoch(both, 5)
    assert int(inner.transforms[2].transforms.transforms[0]._epoch) == 5


def test_training_by_iterations_is_refused():
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    with pytest.raises(ValueError, match='IterBasedTrainLoop, expected one that counts epochs'):
        DatasetEpochHook().before_train(SimpleNamespace(train_loop=loop))


def test_copies_seeds_and_names_differ_and_repeat():
    def made(name='a', epoch=0, **options):
        transform = CorruptMask(CORRUPT['preset'], **options)
        transform.set_epoch(epoch)
        return transform(results(name=name))['coarse_probability']

    np.testing.assert_array_equal(made(), made())
    for options in (dict(name='b'), dict(seed=1), dict(copy=1), dict(epoch=1)):
        assert (made(**options) != made()).any()


def test_each_class_is_corrupted_by_itself_and_ignored_pixels_belong_to_none():
    labels = np.zeros((40, 40), np.uint8)
    labels[5:20, 5:20], labels[22:36, 22:36], labels[0] = 1, 2, 255
    transform = CorruptMask(dict(probabilities=dict(under_segmentation=1), soft=0, secondary=0))
    transform.set_epoch(0)
    out = transform({**results(mask=labels), 'label_map': {0: 0, 1: 1, 2: 2, 9: 255}})
    probability = out['coarse_probability']
    assert probability.shape == (40, 40, 2) and out['corruption'] == 'under_segmentation, under_segmentation'
    for slot in (0, 1):
        inside = labels == slot + 1
        assert 0.39 < probability[inside, slot].mean() < 0.91 and probability[~inside, slot].max() == 0


def test_an_image_without_a_lesion_gets_an_empty_prediction():
    transform = CorruptMask()
    transform.set_epoch(0)
    assert transform(results(mask=np.zeros((30, 30), np.uint8)))['coarse_probability'].max() == 0


def test_target_dice_is_reached():
    transform = CorruptMask(target_dice=(0.7, 0.8))
    transform.set_epoch(0)
    disc = (np.hypot(*(np.mgrid[:64, :64] - 32)) < 14).astype(np.uint8)
    for name in 'abcdef':
        out = transform(results(name=name, mask=disc))
        assert 0.7 <= dice(out['coarse_probability'] > 0.5, disc > 0) <= 0.8


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(ratio=0), 'ratio is 0'),
        (dict(ratio=1.2), 'ratio is 1.2'),
        (dict(target_dice=(0.9, 0.8)), 'target_dice'),
        (dict(preset='hard'), "no corruption preset 'hard'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CorruptMask(**options)
