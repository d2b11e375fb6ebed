"""A batch that crosses between processes in one piece is the batch that was collated."""

import copy
import pickle
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.multiprocessing.reductions import reduce_storage
from torch.utils.data import DataLoader

from ultrarefiner.datasets import single_buffer_collate

TYPES = (torch.uint8, torch.bool, torch.int64, torch.float16, torch.float32)


def make_sample(index):
    """Images of different sizes, fields of every type."""
    generator = torch.Generator().manual_seed(index)
    height, width = 5 + index, 7 + 2 * index
    sample = SegDataSample(metainfo=dict(name=f'n{index}', ori_shape=(height, width)))
    for number, dtype in enumerate(TYPES):
        values = torch.randint(0, 200, (1, height, width), generator=generator).to(dtype)
        sample.set_data({f'field{number}': PixelData(data=values)})
    image = torch.randint(0, 255, (1, height, width), generator=generator, dtype=torch.uint8)
    return dict(inputs=image, data_samples=sample, number=index, turned=torch.rand(3, 4).T, none=torch.zeros(0, 2))


def assert_equal(batch, expected):
    assert batch.keys() == expected.keys() and batch['number'] == expected['number']
    for key in ('inputs', 'turned', 'none'):
        for one, other in zip(batch[key], expected[key], strict=True):
            assert one.dtype == other.dtype and torch.equal(one, other)
    for one, other in zip(batch['data_samples'], expected['data_samples'], strict=True):
        assert one.metainfo == other.metainfo and set(one.keys()) == set(other.keys())
        for key in other.keys():
            assert one.get(key).data.dtype == other.get(key).data.dtype
            assert torch.equal(one.get(key).data, other.get(key).data)


def test_a_pickled_batch_equals_pseudo_collate():
    samples = [make_sample(index) for index in range(3)]
    batch = single_buffer_collate(samples)
    assert_equal(batch, pseudo_collate(samples))
    assert_equal(pickle.loads(pickle.dumps(batch)), pseudo_collate(samples))
    assert_equal(copy.copy(batch), pseudo_collate(samples))


def test_all_tensors_share_one_memory_afterwards():
    batch = pickle.loads(pickle.dumps(single_buffer_collate([make_sample(index) for index in range(3)])))
    tensors = [
        *batch['inputs'],
        *batch['turned'],
        *(s.get(key).data for s in batch['data_samples'] for key in s.keys()),
    ]
    assert len(tensors) == 21 and len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1


def test_one_tensor_is_handed_over_whatever_the_size_of_the_batch():
    """A file and a request over a socket each is what a tensor costs between processes."""
    handed_over = []
    ForkingPickler.register(torch.UntypedStorage, lambda storage: (bytes, (handed_over.append(storage) or 0,)))
    try:
        counts = {}
        for collate in (pseudo_collate, single_buffer_collate):
            for size in (1, 4):
                handed_over.clear()
                ForkingPickler.dumps(collate([make_sample(index) for index in range(size)]))
                counts[collate, size] = len(handed_over)
    finally:
        ForkingPickler.register(torch.UntypedStorage, reduce_storage)
    assert counts[single_buffer_collate, 1] == counts[single_buffer_collate, 4] == 1
    assert counts[pseudo_collate, 4] == 4 * counts[pseudo_collate, 1] == 4 * (len(TYPES) + 3)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_gives_the_same_batches_with_and_without_workers(workers):
    samples = [make_sample(index) for index in range(5)]
    loader = DataLoader(samples, batch_size=2, num_workers=workers, collate_fn=single_buffer_collate)
    for start, batch in zip((0, 2, 4), loader, strict=True):
        assert_equal(batch, pseudo_collate(samples[start : start + 2]))


def test_configs_find_it():
    assert FUNCTIONS.get('single_buffer_collate') is single_buffer_collate


def test_a_batch_is_changed_in_place_like_any_dictionary():
    batch = single_buffer_collate([make_sample(0)])
    batch['more'] = [torch.ones(2, requires_grad=True)]
    again = pickle.loads(pickle.dumps(batch))
    assert again['more'][0].requires_grad and torch.equal(again['inputs'][0], batch['inputs'][0])
