"""What a training cost, from what mmengine's hooks have measured."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from ultrarefiner.apis.training_cost import peak_memory, training_cost


@pytest.fixture
def runner(clean_runner):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    return SimpleNamespace(model=model, message_hub=MessageHub.get_instance('first'))


def test_parameters_and_times_are_counted(runner):
    for seconds in (0.6, 0.1, 0.2):
        runner.message_hub.update_scalar('train/time', seconds)
    cost = training_cost(runner)
    assert (cost['parameters'], cost['trainable']) == (3 * 4 + 4 + 4 * 2 + 2, 4 * 2 + 2)
    assert cost['seconds'] == pytest.approx(0.9) and cost['seconds_per_iteration'] == pytest.approx(0.2)


def test_the_times_before_an_interruption_count_too(runner):
    runner.message_hub.update_scalar('train/time', 2.0)
    resumed = MessageHub.get_instance('second')
    resumed.load_state_dict(runner.message_hub.state_dict())
    resumed.update_scalar('train/time', 3.0)
    assert training_cost(SimpleNamespace(model=runner.model, message_hub=resumed))['seconds'] == 5


def test_without_a_timer_the_times_are_not_known(runner):
    cost = training_cost(runner)
    assert cost['seconds'] is None and cost['seconds_per_iteration'] is None and cost['parameters'] == 26


@pytest.mark.skipif(torch.cuda.is_available(), reason='counts the memory of the GPU there')
def test_peak_memory_grows_with_what_is_held_and_never_shrinks():
    before = peak_memory()
    held = torch.ones(before // 4 + 64 * 2**20)  # float32: more than all before
    after = peak_memory()
    assert after >= before + 64 * 2**20
    del held
    assert peak_memory() >= after


@pytest.mark.gpu
def test_peak_memory_is_that_of_the_gpu():
    torch.cuda.reset_peak_memory_stats()
    held = torch.ones(2**20, device='cuda')
    assert peak_memory() == torch.cuda.max_memory_allocated() >= held.numel() * 4
