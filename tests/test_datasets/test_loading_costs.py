"""What loading costs, in files opened, calls, bytes and memory: the same for each image, however many there are."""

import builtins
import gc
import hashlib
import io
import json
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.datasets import ConvertedDataset, single_buffer_collate

HEIGHT, WIDTH = 12, 16
PIPELINE = [
    dict(type='LoadImage', grey_channels=1),
    dict(type='LoadMask'),
    dict(type='LoadCoarsePrediction'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
    dict(type='PackRefinerInputs'),
]


@pytest.fixture(scope='module')
def make_dataset(tmp_path_factory):
    """A function: a dataset of n training images with proven predictions, built anew; the files are made once."""
    root = tmp_path_factory.mktemp('costs')

    def make(count):
        folder = root / str(count)
        if not folder.exists():
            write_dataset(folder, count)
        init_default_scope('ultrarefiner')
        return ConvertedDataset(folder, 'all_train', coarse_dir=folder / 'made' / 'predictions', pipeline=PIPELINE)

    return make


def write_dataset(folder, count):
    names = [f'n{index:03}' for index in range(count)]
    for kind in ('train/images', 'train/masks', 'made/predictions'):
        (folder / kind).mkdir(parents=True)
    rng, entries = np.random.default_rng(0), {}
    for index, name in enumerate(names):
        image = rng.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
        Image.fromarray(image).save(folder / 'train' / 'images' / f'{name}.png')
        Image.fromarray((image > 128) * np.uint8(255)).save(folder / 'train' / 'masks' / f'{name}.png')
        file = folder / 'made' / 'predictions' / f'{name}.npy'
        np.save(file, rng.random((4, 4), dtype=np.float32))
        entries[name] = dict(fold=index % 2, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    splits = Splits(
        'costs', 'method', 0, names, ['t'], [names[0::2], names[1::2]], {name: name for name in [*names, 't']}
    )
    splits.save(folder / 'splits.json')
    proof = dict(split_sha256=splits.digest, entries=entries)
    (folder / 'made' / 'proof.json').write_text(json.dumps(proof))


@pytest.fixture
def opened(monkeypatch):
    """The paths of the files that were opened, in order."""
    if sys.version_info < (3, 11):
        pytest.skip('pathlib holds an open of its own there, which cannot be counted')
    paths = []
    for module in (builtins, io):
        monkeypatch.setattr(module, 'open', counting(module.open, paths))
    return paths


def counting(original, paths):
    def count(file, *args, **kwargs):
        paths.append(str(file))
        return original(file, *args, **kwargs)

    return count


def calls_of(action):
    """How many functions an action calls, Python's and C's."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ('call', 'c_call')

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def test_a_start_opens_each_file_a_fixed_number_of_times(make_dataset, opened):
    counts = {}
    for count in (6, 60):
        make_dataset(count)
        opened.clear()
        make_dataset(count)
        counts[count] = len(opened)
        # The split, the report that says what was merged, and the proof of the predictions.
        assert sum(path.endswith('.json') for path in opened) == 3
    # The image; the mask's two ends, and its pixels; the prediction, for its hash.
    assert counts == {6: 4 * 6 + 3, 60: 4 * 60 + 3}


def test_an_epoch_opens_four_files_a_sample(make_dataset, opened):
    for count in (6, 60):
        dataset = make_dataset(count)
        opened.clear()
        for index in range(count):
            dataset[index]
        # The image, its header before; the mask; the prediction.
        assert len(opened) == 4 * count


def test_as_many_images_more_make_as_many_calls_more(make_dataset):
    def epoch(dataset):
        np.random.seed(0)
        for index in range(len(dataset)):
            dataset[index]

    datasets = [make_dataset(count) for count in (6, 33, 60)]
    epoch(datasets[0])
    starts = [calls_of(lambda count=count: make_dataset(count)) for count in (6, 33, 60)]
    epochs = [calls_of(lambda dataset=dataset: epoch(dataset)) for dataset in datasets]
    for few, some, many in (starts, epochs):
        assert many - some == pytest.approx(some - few, rel=0.1)


def test_a_sample_takes_six_bytes_a_pixel_through_the_worker(make_dataset):
    """One of the image, one of the mask, four of the coarse probability; and two thousand of everything else."""
    dataset = make_dataset(6)
    batch = single_buffer_collate([dataset[index] for index in range(6)])
    size = len(pickle.dumps(batch))
    pixels = 6 * HEIGHT * WIDTH
    assert 6 * pixels < size < 6 * pixels + 6 * 2000
    colour = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='PackRefinerInputs')]
    sample = ConvertedDataset(dataset.data_root, 'all_train', pipeline=colour)[0]
    assert sample['inputs'].nbytes == 3 * HEIGHT * WIDTH
    assert sample['data_samples'].gt_sem_seg.data.nbytes == HEIGHT * WIDTH


def test_memory_is_flat_over_the_epochs(make_dataset):
    dataset = make_dataset(33)

    def memory_after(epochs):
        for _ in range(epochs):
            for index in range(33):
                dataset[index]
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        grown = -memory_after(20) + memory_after(20)  # the first epochs fill Python's own free lists
    finally:
        tracemalloc.stop()
    # Bytes: less than an empty dictionary a sample; the free lists of Python 3.10 take longer to fill.
    assert grown < 20 * 33 * (64 if sys.version_info >= (3, 11) else 100)
