"""Workers take one thread each."""

import os

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits
from torch.utils.data import DataLoader

from ultrarefiner.datasets import ConvertedDataset


def threads_in_use(results):
    """As the one step of a pipeline: the process, and the threads that it would compute with."""
    np.ones((2, 2)) @ np.ones((2, 2))
    pools = [pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas']
    return os.getpid(), cv2.getNumThreads(), max(pools)


@pytest.fixture
def several_threads():
    """Two threads for this process, and for those forked from it, whatever the machine has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    with threadpool_limits(2, user_api='blas'):
        yield
    cv2.setNumThreads(before)


def test_workers_compute_with_one_thread_and_the_training_process_as_before(tiny_root, several_threads):
    dataset = ConvertedDataset(tiny_root, 'all_train', pipeline=[threads_in_use])
    loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context='fork')
    found = set(map(tuple, loader))
    assert len({process for process, *_ in found}) == 2 and os.getpid() not in {process for process, *_ in found}
    assert {tuple(threads) for _, *threads in found} == {(1, 1)}
    assert dataset[0] == (os.getpid(), 2, 2)
